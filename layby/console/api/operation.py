"""One operation of the API, declared once: by a handler and a line in the table of operations."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar, get_args, get_type_hints

import msgspec
from starlette.requests import Request

from ..console import Console, console_of
from ..login.session import Session
from .problem import NotAllowed

P = TypeVar("P")
Q = TypeVar("Q")
B = TypeVar("B")
ROOT: Final = "/api/v1"
Right = Literal["public", "session", "view", "answer", "operate"]
"""What a session must be allowed to do. `public`: nothing, there need not be one. `session`: the
handler looks at what it is allowed to see."""
EVENTS: Final = "text/event-stream"
JSON: Final = "application/json"


class Nothing(msgspec.Struct, frozen=True, kw_only=True):
    """No parameters, or no body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[P, Q, B]):
    """One request, checked.

    Attributes:
        request: The request.
        path: The parameters in its path.
        query: The parameters in its query.
        body: Its body.
        headers: Headers for the response.
    """

    request: Request
    path: P
    query: Q
    body: B
    headers: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def console(self) -> Console:
        """The console it is to."""
        return console_of(self.request)

    @property
    def session(self) -> Session:
        """Who it is from."""
        session: Session = self.request.state.session
        return session


@dataclass(frozen=True, slots=True)
class Operation:
    """What can be asked of the API.

    Its name, its summary and the types of what goes in and comes out are those of the handler,
    whose only parameter is a `Call[path, query, body]`.

    Attributes:
        method: The method of HTTP.
        path: Its path below `/api/v1`, as Starlette writes it.
        handler: Does it; returns the value of the response, or a response.
        right: What the session must be allowed to do.
        statuses: Of its responses, besides 200 and those that any operation may give.
        media: The media type of the response.
        within: Seconds after which it is given up.
    """

    method: Literal["GET", "POST"]
    path: str
    handler: Callable[[Call[Any, Any, Any]], Awaitable[Any]]
    right: Right
    statuses: tuple[int, ...] = ()
    media: str = JSON
    within: float = 30.0

    @property
    def name(self) -> str:
        """Its id in the OpenAPI document."""
        return self.handler.__name__

    @property
    def template(self) -> str:
        """Its path as OpenAPI writes it."""
        return self.path.replace(":path}", "}")

    @property
    def words(self) -> str:
        """What it does."""
        return inspect.getdoc(self.handler) or ""

    def types(self) -> tuple[type, type, type]:
        """The types of the parameters in the path, of those in the query, and of the body."""
        hints = get_type_hints(self.handler)
        hints.pop("return")
        (call,) = hints.values()
        path, query, body = get_args(call)
        return path, query, body

    @property
    def problems(self) -> list[int]:
        """The statuses of problems that it may give, 202 among them."""
        found = {403, 422, 500, 503, *self.statuses}
        if self.right != "public":
            found |= {401, 429}
        if self.method == "POST":
            found |= {400, 408, 413, 415}
        return sorted(found - {204})

    @property
    def returns(self) -> Any:
        """The type of what it returns."""
        return get_type_hints(self.handler)["return"]


def check_right(right: Right, session: Session, *, read_only: bool) -> None:
    """Refuse what a session may not do. Raises NotAllowed."""
    rights = session.rights
    allowed = {
        "view": rights.view,
        "answer": rights.may_answer,
        "operate": rights.operate,
    }.get(right, True)
    if not allowed and read_only and right != "view":
        raise NotAllowed("this console is read-only: it was started with --read-only")
    if not allowed:
        raise NotAllowed(f"{session.name!r} is a {rights.word} here, who may not do that")
