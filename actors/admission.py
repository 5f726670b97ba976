"""Which answers a question takes: by their form, and by who vouches for whoever gave them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..bus.names import Names
from ..bus.token import encode
from ..runtime.entry import Answered
from ..runtime.signature import HEADER
from ..runtime.vouching import NATS, NONE, SIGNATURE, refused
from .answer import Sent, WhyNot, unfit
from .parked import ParkedQuestion
from .ready import YOUR_NAME

if TYPE_CHECKING:
    from ..runtime.host import Host


class Admission:
    """Admits the answers to one role, by the same rule as the fold of the log."""

    def __init__(self, role: str, host: Host, names: Names) -> None:
        self._role = role
        self._host = host
        self._names = names

    @property
    def _signs(self) -> bool:
        return self._role in self._host.services.signers

    def on(self, ticket: str) -> WhyNot:
        """The rule for the questions on a ticket."""
        return partial(self.why_not, ticket)

    def why_not(self, ticket: str, question: ParkedQuestion, sent: Sent) -> str:
        """Why a question does not take an answer, and how to answer; empty when it does."""
        if self._signs or question.accept:
            why = self._why_unvouched(ticket, question, sent)
            if why:
                return why
        return unfit(question, sent.given)

    def _why_unvouched(self, ticket: str, question: ParkedQuestion, sent: Sent) -> str:
        given = sent.given
        named = self._names.subject(f"{self._role}.response.{encode(ticket)}.{YOUR_NAME}")
        if not self._signs:
            if given.vouched in question.accept:
                return ""
            if NATS in question.accept:
                return f"the question takes only answers whose subject names you: {named}"
            return f"the question takes only unnamed answers ({NONE}): leave the name out"
        how = f"answer on {named} with a {HEADER}: `layby answer` and `layby sign` make one"
        if not given.responder:
            return f"the role {self._role!r} takes signed answers only: {how}"
        live = self._host.cache.warm(question.run)
        asked = live.state.questions.get(question.id) if live is not None else None
        record = self.answered(question.id, sent)
        signers = self._host.services.signers
        refusal = refused(ticket, question.run, asked or question, record, signers)
        return f"{refusal.why}; {how}" if refusal is not None else ""

    def answered(self, question_id: str, winner: Sent) -> Answered:
        """The log's word that an answer has closed a question."""
        return answered(question_id, winner, signs=self._signs)


def answered(question_id: str, winner: Sent, *, signs: bool = False) -> Answered:
    """The log's word that an answer has closed a question; `signs`: by a role that signs."""
    given = winner.given
    return Answered(
        id=question_id,
        text=given.text,
        by=given.by,
        at=winner.at,
        seq=winner.seq,
        vouched=SIGNATURE if signs else given.vouched,
        signature=given.signature if signs else "",
    )
