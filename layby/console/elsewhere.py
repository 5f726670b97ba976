"""Links from other sites: a chat, a mail, a ticket system.

The cookie of a session is `SameSite=Strict`, so browsers leave it out when somebody follows a link
from another site. The page that answers then opens itself again: that request comes from the
console's own page, and has the cookie. Only the browser's address bar can be led here, and only by
GET, which changes nothing; forms, frames and scripts of other sites go without the cookie.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from .pages.shell import bare

_FOLLOWED: Final = {
    "sec-fetch-site": "cross-site",
    "sec-fetch-mode": "navigate",
    "sec-fetch-dest": "document",
}
"""What browsers say about a link from another site that somebody followed in a tab."""


def is_from_elsewhere(request: Request) -> bool:
    """Whether somebody has followed a link of another site."""
    said = all(request.headers.get(name) == value for name, value in _FOLLOWED.items())
    return said and request.method == "GET"


def reloading_page(request: Request) -> Response:
    """The page that has the browser ask again, as a page of the console."""
    return bare(request, "elsewhere.html", title="Opening the console", again=_again(request))


def _again(request: Request) -> str:
    """The address that was asked for, relative to itself, so that no other site can be meant.

    A page with a fragment in its address does not reload by a refresh without one.
    """
    last = request.scope["raw_path"].decode("latin-1").rpartition("/")[2]
    query = request.scope["query_string"].decode("latin-1")
    return f"./{last}{'?' if query else ''}{query}"
