"""Signs answers to questions, as published or as listed by `layby questions`."""

from __future__ import annotations

import math
import time
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import msgspec

from ..bus.errors import LaybyError
from ..bus.token import encode, is_word
from ..runtime.call import Call
from ..runtime.envelope import UNREADABLE
from ..runtime.nkey import Signer
from ..runtime.quorum import Quorum
from ..runtime.signature import QuestionContent, Signature, Statement, digest

__all__ = ["NotToBeSigned", "Published", "Signature", "Signer", "sign_answer"]


class NotToBeSigned(LaybyError):
    """A question or answer that must not be signed."""


class Signable(QuestionContent, Protocol):
    """A question with all that a signature covers."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def ticket(self) -> str:
        """The ticket as the help desk spells it."""
        ...

    @property
    def run(self) -> str:
        """The run that waits."""
        ...

    @property
    def role(self) -> str:
        """Who is asked."""
        ...

    @property
    def deadline(self) -> str:
        """When the run goes on without an answer."""
        ...

    @property
    def encrypted(self) -> bool:
        """Whether nobody here could read what it says."""
        ...


class _Where(msgspec.Struct, frozen=True):
    subject: str


class _ToSign(msgspec.Struct, frozen=True):
    sha256: str = ""


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """A question as it is published, or listed with `--json`: what a signature needs of it."""

    id: str
    ticket: str
    run: str
    role: str
    question: str
    deadline: str
    context: str = ""
    agent: str = ""
    form: dict[str, Any] | None = None
    call: Call | None = None
    answer: _Where | None = None
    sign: _ToSign | None = None
    sha256: str = ""
    encrypted: bool = False
    quorum: Quorum | None = None

    @classmethod
    def read(cls, data: bytes) -> Published:
        """Read one from JSON: itself, or what `nats stream get --json` prints of its message.

        Raises:
            NotToBeSigned: it is not a question, or does not match its own digest.
        """
        try:
            question = msgspec.json.decode(_inner(data), type=cls)
        except UNREADABLE as error:
            raise NotToBeSigned(f"this is not the JSON of a published question: {error}") from None
        claimed = question.sign.sha256 if question.sign is not None else question.sha256
        if claimed and not question.encrypted and claimed != digest(question):
            raise NotToBeSigned(
                f"question {question.id} does not match its SHA-256: it was changed on the way"
            )
        return question

    def subject(self, by: str) -> str:
        """Where `by` answers."""
        plain = f"{self.role}.response.{encode(self.ticket)}"
        subject = self.answer.subject if self.answer is not None else plain
        prefix, found, _ = subject.partition(plain)
        if not found or (prefix and not (prefix.endswith(".") and is_word(prefix[:-1]))):
            raise NotToBeSigned(
                f"question {self.id} names a subject that is not its own: {subject!r}"
            )
        return f"{prefix}{plain}.{by}"


class _Message(msgspec.Struct, frozen=True):
    """What the nats CLI prints of a stored message."""

    data: bytes


def _inner(data: bytes) -> bytes:
    """The question in a message that the nats CLI printed; other data as it is."""
    try:
        return msgspec.json.decode(data, type=_Message).data
    except msgspec.MsgspecError:
        return data


class Signed(NamedTuple):
    """A signature, and what it says."""

    signature: Signature
    statement: Statement


def sign_answer(
    question: Signable, text: str, *, by: str, signer: Signer, valid: float | None = None
) -> Signed:
    """Sign an answer to a question, for exactly this question and answer.

    Args:
        question: The question: a row of `Client.questions`, or a `Published`. Look at it first: the
            signature is yours.
        text: The answer.
        by: Your name, as the role's keys have it.
        signer: Your key.
        valid: Seconds in which it must be stored; None: until the question's deadline.

    Raises:
        NotToBeSigned: the deadline has passed, the answer is empty, or the question is encrypted.
    """
    if question.encrypted:
        raise NotToBeSigned(
            f"question {question.id} is encrypted, and a signature is for what was read: sign with "
            "`layby answer` where LAYBY_KEYS is set, or what `layby questions --json` lists there"
        )
    answer = text.strip()
    if not answer:
        raise NotToBeSigned("the answer is empty: silence is never a yes")
    now = time.time()
    deadline = datetime.fromisoformat(question.deadline).timestamp()
    if deadline <= now:
        raise NotToBeSigned(f"the deadline of question {question.id} passed: {question.deadline}")
    statement = Statement(
        ticket=question.ticket,
        run=question.run,
        question=question.id,
        role=question.role,
        asked=digest(question),
        answer=answer,
        by=by,
        expires=math.ceil(deadline if valid is None else now + valid),
    )
    return Signed(statement.signed(signer), statement)
