"""Which answers in a log count, for those who tell of a log record by record."""

from __future__ import annotations

from typing import Any

from .runtime.entry import Answered, Asked, Expired
from .runtime.signature import Signature
from .runtime.vouching import SIGNATURE, Signers, refused


class Heard:
    """The questions of one run, as far as its log was read."""

    def __init__(self, run: str, signers: Signers | None = None) -> None:
        self.ticket = ""
        self._run = run
        self._signers = signers
        self._asked: dict[str, Asked] = {}
        self._closed: set[str] = set()

    def ask(self, record: Asked) -> bool:
        """Take note of a question; False when one of its id was asked before."""
        return self._asked.setdefault(record.id, record) is record

    def question(self, ref: str) -> Asked | None:
        """A question that was asked."""
        return self._asked.get(ref)

    def why_not(self, record: Answered) -> str:
        """Why an answer does not count, as the fold has it; empty when it closes its question."""
        asked = self._asked.get(record.id)
        if asked is None:
            return ""
        if record.id in self._closed:
            return "the question was closed before"
        refusal = refused(self.ticket, self._run, asked, record, self._signers)
        if refusal is None:
            self._closed.add(record.id)
            return ""
        return refusal.why

    def close(self, record: Expired) -> None:
        """Take note that nobody answered."""
        self._closed.add(record.id)

    def vouched(self, record: Answered) -> str:
        """Who vouches for an answer that counts."""
        asked = self._asked.get(record.id)
        signs = asked is not None and SIGNATURE in asked.accept
        if self._signers is not None and asked is not None and asked.role in self._signers:
            signs = True
        if signs:
            return SIGNATURE
        return "" if record.vouched == SIGNATURE else record.vouched

    def how(self, record: Answered) -> str:
        """How an answer that counts is signed, in words; empty where it need not be."""
        if self.vouched(record) != SIGNATURE:
            return ""
        return "signed, key not checked" if self._signers is None else "signed"

    def role(self, ref: str) -> str:
        """Who was asked a question."""
        asked = self._asked.get(ref)
        return asked.role if asked else "person"

    def line(self, record: Answered) -> dict[str, Any]:
        """An answer as a line of a timeline."""
        if why := self.why_not(record):
            return {
                "kind": "answer.refused",
                "actor": self.role(record.id),
                "title": "an answer that does not count",
                "detail": why,
                "data": {"id": record.id, "reason": why},
            }
        how = self.how(record)
        signature = Signature.parse(record.signature) if how else None
        return {
            "kind": "question.answered",
            "actor": record.by or self.role(record.id),
            "title": f"{record.by or 'somebody'} answered" + (f" ({how})" if how else ""),
            "detail": record.text,
            "data": {
                "id": record.id,
                "text": record.text,
                "by": record.by,
                "vouched": self.vouched(record),
                **({"key": signature.key} if signature is not None else {}),
            },
        }
