"""The part of a client that acts on open questions without answering them."""

from __future__ import annotations

import msgspec

from ..actors.people.answer import Receipt
from ..actors.people.answer_subject import via_subject
from ..bus.token import encode, is_word
from ..runtime.ask_back_records import ASK_BACK
from ..runtime.opened_records import OPENED
from ..runtime.vouched import VIA, Via
from .answer_api import AnswerApi


class ActApi(AnswerApi):
    """Claims questions, passes them on, declines them, asks back; says who has looked."""

    async def claim(
        self,
        ticket: str,
        *,
        by: str,
        role: str = "developer",
        question_id: str | None = None,
        minutes: float = 30.0,
        via: Via | None = None,
        timeout: float = 5.0,  # noqa: ASYNC109
    ) -> Receipt:
        """Say that somebody is about to answer a question: until then nobody else is reminded.

        Args:
            ticket: The question's ticket.
            by: Who claims it, as a word of the subject: a server with permissions holds its user
                to it.
            role: The role that was asked.
            question_id: The question's id; None: the role's only open question on the ticket.
            minutes: How long the claim holds; 0 releases it.
            via: For a bridge: what vouches for them, `slack` for instance; None: their own login.
            timeout: Seconds to wait for the receipt.

        Raises:
            InvalidTicket: no ticket can have that id.
            NoReceipt: it is stored, but no worker issued a receipt within `timeout` seconds.
            NotConnected: the server does not answer, and nothing was sent.
            PermissionDenied: the server does not let this user say it, or not in that name.
            ValueError: `by` is not a word of letters, digits, `_` and `-`.
        """
        place = _place(f"{role}.claim", ticket, by, via)
        return await self._act(place, question_id, timeout, minutes=minutes)

    async def pass_on(
        self,
        ticket: str,
        to: str,
        *,
        by: str,
        role: str = "developer",
        question_id: str | None = None,
        via: Via | None = None,
        timeout: float = 5.0,  # noqa: ASYNC109
    ) -> Receipt:
        """Have somebody else asked too.

        Args:
            ticket: The question's ticket.
            to: Who: `role:lead` or `person:bob`.
            by: Who passes it on; see `claim`.
            role: The role that was asked.
            question_id: The question's id; None: the role's only open question on the ticket.
            via: See `claim`.
            timeout: Seconds to wait for the receipt.

        Raises as `claim` does.
        """
        place = _place(f"{role}.pass", ticket, by, via)
        return await self._act(place, question_id, timeout, to=to)

    async def decline(
        self,
        ticket: str,
        *,
        by: str,
        role: str = "developer",
        question_id: str | None = None,
        via: Via | None = None,
        timeout: float = 5.0,  # noqa: ASYNC109
    ) -> Receipt:
        """Say that somebody will not answer a question.

        When nobody is left who was asked, the next escalation is reached at once.

        Args:
            ticket: The question's ticket.
            by: Who declines; see `claim`.
            role: The role that was asked.
            question_id: The question's id; None: the role's only open question on the ticket.
            via: See `claim`.
            timeout: Seconds to wait for the receipt.

        Raises as `claim` does.
        """
        place = _place(f"{role}.decline", ticket, by, via)
        return await self._act(place, question_id, timeout)

    async def opened(
        self,
        ticket: str,
        *,
        by: str,
        question_id: str,
        role: str = "developer",
        channel: str = "",
        via: Via | None = None,
    ) -> None:
        """Say that somebody has looked at an open question. There is no receipt.

        A worker records the first time of each person; later ones change nothing.

        Args:
            ticket: The question's ticket.
            by: Who has looked at it; see `claim`.
            question_id: The question's id.
            role: The role that was asked.
            channel: Where they looked, a word such as `console`; empty: it is not recorded.
            via: See `claim`.

        Raises:
            InvalidTicket: no ticket can have that id.
            PermissionDenied: the server does not let this user say it, or not in that name.
            PublishUnconfirmed: it may not have been stored.
            ValueError: `by` is not a word of letters, digits, `_` and `-`.
        """
        place = _place(f"{role}.{OPENED}", ticket, by, via)
        body = {"questionId": question_id, **({"channel": channel} if channel else {})}
        storing = self._stored(place, msgspec.json.encode(body))
        await self._ask(storing, self._names.subject(place))

    async def ask_back(
        self,
        ticket: str,
        text: str,
        *,
        by: str,
        role: str = "developer",
        question_id: str | None = None,
        via: Via | None = None,
        timeout: float = 5.0,  # noqa: ASYNC109
        reply_within: float = 0.0,
    ) -> Receipt:
        """Ask the asker of a question something, before somebody answers it.

        Args:
            ticket: The question's ticket.
            text: What somebody wants to know, up to 2,000 characters.
            by: Who wants to know; see `claim`.
            role: The role that was asked.
            question_id: The question's id; None: the role's only open question on the ticket.
            via: See `claim`.
            timeout: Seconds to wait for the receipt.
            reply_within: Seconds to wait for the reply too, which is a second receipt.

        Returns:
            The receipt of the reply, `replied` or `not_replied`, if it comes in time; else that of
            the question back.

        Raises as `claim` does.
        """
        place = _place(f"{role}.{ASK_BACK}", ticket, by, via)
        return await self._act(place, question_id, timeout, reply_within, text=text)

    async def _act(
        self,
        place: str,
        question_id: str | None,
        within: float,
        further: float = 0.0,
        **said: str | float,
    ) -> Receipt:
        named = {} if question_id is None else {"questionId": question_id}
        body = msgspec.json.encode({**named, **said})
        return await self._say(place, body, timeout=within, further=further)


def _place(words: str, ticket: str, by: str, via: Via | None) -> str:
    """The subject: who says it, and what vouches for them. Raises ValueError."""
    plain = f"{words}.{encode(ticket)}"
    if not is_word(by):
        raise ValueError(f"by={by!r}: use letters, digits, _ and -")
    if via is None:
        return f"{plain}.{by}"
    if via not in VIA:
        raise ValueError(f"via={via!r}: use one of {', '.join(VIA)}")
    return via_subject(plain, by, via)
