"""What people do with a question in the console other than answer it."""

from __future__ import annotations

from typing import Final, TypedDict

from ..actors.people.answer import Receipt
from ..bus.errors import LaybyError
from ..bus.token import is_word
from ..runtime.act_records import Verb
from ..runtime.vouched import Via
from ..views.rows import QuestionRow
from .login.asked import may_answer, role_here
from .login.session import Session, sender_of

RECORDED: Final = frozenset({"recorded", "replied", "not_replied"})
"""Outcomes of what was recorded; the receipt of a reply may come first."""
CONSOLE: Final = "console"
"""Where people look at questions here."""


class MayNot(LaybyError):
    """Why somebody cannot act on a question here."""


class _Common(TypedDict):
    by: str
    role: str
    question_id: str
    via: Via | None
    timeout: float


def name_here(session: Session, role: str) -> str:
    """The name under which somebody claims questions; empty: theirs cannot be part of a subject."""
    name = sender_of(session, role)[0] or session.name
    return name if is_word(name) else ""


def has_opened(question: QuestionRow, person: str) -> bool:
    """Whether it is known that somebody has looked at a question."""
    return any(each.by == person for each in question.opened)


async def look(session: Session, question: QuestionRow) -> None:
    """Say that the person of a session has looked at a question, unless that is known.

    Raises:
        MayNot: they may not answer the question, or their name cannot be part of a subject.
        PermissionDenied: the server does not let them say it.
        PublishUnconfirmed: it may not have been stored.
    """
    role = role_here(question, session)
    by = _sender(session, question, role)
    if not has_opened(question, by):
        await session.client.opened(
            question.ticket,
            by=by,
            role=role,
            question_id=question.id,
            channel=CONSOLE,
            via=sender_of(session, role)[1],
        )


async def act(
    session: Session,
    question: QuestionRow,
    verb: Verb,
    *,
    to: str = "",
    text: str = "",
    minutes: float = 30.0,
    within: float = 5.0,
) -> Receipt:
    """Do it in the name of the person of a session, and wait for the receipt.

    People with a NATS login of their own act with that. For people behind a proxy, the console
    vouches.

    Raises:
        MayNot: they may not answer the question, or their name cannot be part of a subject.
        NoReceipt: it is stored, and no worker has recorded it yet.
        PermissionDenied: the server does not let them say it.
    """
    role = role_here(question, session)
    by = _sender(session, question, role)
    common = _Common(
        by=by,
        role=role,
        question_id=question.id,
        via=sender_of(session, role)[1],
        timeout=within,
    )
    client = session.client
    if verb == "claim":
        return await client.claim(question.ticket, minutes=minutes, **common)
    if verb == "pass":
        return await client.pass_on(question.ticket, to, **common)
    if verb == "ask-back":
        return await client.ask_back(question.ticket, text, **common)
    return await client.decline(question.ticket, **common)


def _sender(session: Session, question: QuestionRow, role: str) -> str:
    """The name of the person of a session, as a word of a subject. Raises MayNot."""
    if not may_answer(question, session):
        raise MayNot(f"{session.name!r} may not answer questions to {question.role!r}")
    if by := name_here(session, role):
        return by
    raise MayNot(f"{session.name!r} cannot be part of a subject: use letters, digits, _ and -")
