"""The entry of a log that prepared the call which a question asks to approve. Pure."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from ..actors.keys import APPROVE, BEFORE, Key
from ..runtime.entry import Record, Stepped
from ..runtime.envelope import UNREADABLE
from ..tools.approval import question_digest


class AskingStep(Protocol):
    """The place in a run that asked a question."""

    @property
    def id(self) -> str:
        """The question's id."""
        ...

    @property
    def frame(self) -> str:
        """The body of code that asks."""
        ...

    @property
    def key(self) -> str:
        """What it asks in this body."""
        ...


class PreparedCall(msgspec.Struct, frozen=True):
    """What the record of a prepared call holds."""

    arguments: dict[str, Any]
    """As the agent gave them."""
    digest: str = ""
    """Digest of the tool and of its arguments, with and without defaults."""
    salt: str = ""


def prepares(record: Record, asked: AskingStep) -> bool:
    """Whether a record prepared the call that is to be approved."""
    found = Key.parse(asked.key)
    if found is None or found[0].kind != APPROVE or not isinstance(record, Stepped):
        return False
    return (record.frame, record.key) == (asked.frame, str(found[0].of(BEFORE)))


def prepared(result: bytes) -> PreparedCall | None:
    """The call in a record that prepared one; None: its entry refers to it, or cannot be read."""
    try:
        return msgspec.json.decode(result, type=PreparedCall)
    except UNREADABLE:
        return None


def shown_digest(call: PreparedCall, question: str) -> str:
    """The digest that people see of a call and of the question about it."""
    return question_digest(call.digest, question, call.salt)
