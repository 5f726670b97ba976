"""A person who uses the console, and what they may do."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field

from starlette.requests import Request

from ...bus.token import is_word
from ...client import Client
from ...runtime.vouched import PROXY, Via


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What a person may do; the NATS server has the last word.

    Attributes:
        view: Whether they may see runs, and everything else that is not addressed to them.
        roles: The roles whose questions they may answer; None: of any role.
        operate: Whether they may cancel and retry runs, send events, and handle dead letters.
        shown: Roles whose questions they may see and not answer, in a console that is read-only.
    """

    view: bool = True
    roles: frozenset[str] | None = None
    operate: bool = True
    shown: frozenset[str] = frozenset()

    def answers(self, role: str) -> bool:
        """Whether they may answer a question to this role."""
        return self.roles is None or role in self.roles

    def answers_one_of(self, roles: Iterable[str]) -> bool:
        """Whether they may answer a question to these roles."""
        return any(self.answers(role) for role in roles)

    def sees(self, role: str) -> bool:
        """Whether they may see a question to this role."""
        return self.view or self.answers(role) or role in self.shown

    @property
    def seen(self) -> frozenset[str] | None:
        """The roles to which they may see questions; None: to any role."""
        return None if self.view or self.roles is None else self.roles | self.shown

    def without_changes(self) -> Rights:
        """These rights where nothing may be changed."""
        return Rights(
            view=self.view,
            roles=frozenset(),
            operate=False,
            shown=self.roles or frozenset(),
        )

    @property
    def may_answer(self) -> bool:
        """Whether they may answer questions of any role at all."""
        return self.roles is None or bool(self.roles)

    @property
    def word(self) -> str:
        """The role's name on the page: `operator`, `responder` or `viewer`."""
        if self.operate:
            return "operator"
        return "responder" if self.may_answer else "viewer"


VIEWER = Rights(roles=frozenset(), operate=False)
"""The rights of a console that is read-only."""


class Uses:
    """How many requests of a session are under way."""

    def __init__(self) -> None:
        self.count = 0

    @contextlib.contextmanager
    def one(self) -> Generator[None]:
        """One more in this block."""
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One login of a person.

    Attributes:
        name: Who acts: the `by` of answers and commands.
        rights: What they may do.
        client: Acts with this person's connection.
        responder: Their name as the word of the subject on which the server lets them answer;
            None: they answer on the plain subject, or the console vouches for them.
        vouched: The roles for which the console vouches for their name; None: any role.
        via: What that rests on: a proxy, or a token.
        form_token: What each form carries, so that no other site can post it.
        over: Set when it has ended, so that its open streams end too.
        uses: How many requests are under way.
        lists: By run, the query of the list of runs from which its page was opened.
    """

    name: str
    rights: Rights
    client: Client
    responder: str | None = None
    vouched: frozenset[str] | None = frozenset()
    via: Via = PROXY
    form_token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    over: asyncio.Event = field(default_factory=asyncio.Event, repr=False, compare=False)
    uses: Uses = field(default_factory=Uses, repr=False, compare=False)
    lists: dict[str, str] = field(default_factory=dict[str, str], repr=False, compare=False)


def sender_of(session: Session, role: str) -> tuple[str | None, Via | None]:
    """Under which name somebody answers for a role, and what vouches for it; None: nothing."""
    if session.responder is not None:
        return session.responder, None
    by_us = session.vouched is None or role in session.vouched
    return (session.name, session.via) if by_us and is_word(session.name) else (None, None)


def session_of(request: Request) -> Session:
    """The session of a request that has passed the guard."""
    session: Session = request.state.session
    return session
