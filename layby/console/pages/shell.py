"""The frame that all pages share: the templates, the rail, and what they are given."""

from __future__ import annotations

from functools import partial
from importlib.resources import files
from typing import Any, Final, cast
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from ...runtime.untrusted_text import safe
from ..console import console_of
from ..login.session import session_of
from . import words
from .way_back import way_back

PLACES: Final = (("Runs", "/"), ("Inbox", "/inbox"), ("Send", "/send"), ("Health", "/health"))
"""The pages that the rail leads to."""


def _shown(value: Any) -> Any:
    """Text as it may be shown: what models, customers and strangers wrote hides nothing."""
    return safe(value) if type(value) is str else value


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("layby.console"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(words.FILTERS)
    cast("dict[str, Any]", environment.globals)["favicon"] = _favicon()
    return environment


def _favicon() -> str:
    """The icon in the address itself: the script changes it, and would ask for it each time."""
    drawn = files("layby.console").joinpath("icon.svg").read_text("utf-8")
    return f"data:image/svg+xml,{quote(drawn)}"


templates = _environment()


def page(
    request: Request,
    template: str,
    *,
    title: str,
    nav: str = "",
    status: int = 200,
    live: str | None = "",
    **values: Any,
) -> HTMLResponse:
    """A page.

    Args:
        request: Who asks, and where.
        template: Extends `base.html`.
        title: The title of its tab.
        nav: The place in the rail that it belongs to, in lower case.
        status: The HTTP status.
        live: The path of its stream of patches; empty: only its rail is kept up to date. None: its
            own script sees to that.
        values: The variables of the template.
    """
    rail = f"/live?{urlencode({'nav': nav})}"
    address = "" if live is None else console_of(request).url(live or rail)
    text = fragment(request, template, title=title, nav=nav, live=address, **values)
    return HTMLResponse(text, status)


def fragment(request: Request, template: str, **values: Any) -> str:
    """A template with what all of them may use: `url`, `session`, `tally` and so on."""
    console, session = console_of(request), session_of(request)
    return templates.get_template(template).render(
        url=console.url,
        session=session,
        options=console.options,
        places=PLACES,
        frame="base.html",
        tally=console.tally.seen_by(session.rights),
        way_back=partial(way_back, request),
        **values,
    )


def bare(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page without the rail, for people who have not signed in."""
    url = console_of(request).url
    text = templates.get_template(template).render(
        url=url, session=None, frame="bare.html", **values
    )
    return HTMLResponse(text, status)
