"""What the script of a question's page sends once the question has been visible.

A GET records nothing: browsers, proxies and mail scanners fetch pages that nobody looks at.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from ...bus.errors import LaybyError, PermissionDenied
from ..acting import MayNot, look
from ..console import console_of
from ..login.session import session_of
from . import inbox_source as source


async def opened(request: Request) -> Response:
    """Say that this person has looked at a question, unless that is known."""
    thread = await source.thread(request, request.path_params["question"])
    if thread is None or console_of(request).options.read_only:
        return Response(status_code=404 if thread is None else 403)
    if thread.status != "open":
        return Response(status_code=204)
    try:
        await look(session_of(request), thread.question)
    except (MayNot, PermissionDenied):
        return Response(status_code=403)
    except LaybyError:  # it is said again when the page is opened again
        return Response(status_code=503)
    return Response(status_code=204)
