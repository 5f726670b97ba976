"""The bytes that a signed answer's signature covers, and the format of its header.

The bytes are a contract (docs/signed-answers.md): a later version has another first line.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any, NamedTuple, Protocol

import msgspec

from .call import Call
from .nkey import Signer, verifies
from .quorum import Quorum

HEADER = "Layby-Signature"
VERSION = "v1"
_QUESTION = b"layby-question-v1\n"
_ANSWER = b"layby-answer-v1\n"
_FORM = re.compile(r"v1\.(U[A-Z2-7]{55})\.([1-9][0-9]{0,11})\.([A-Za-z0-9_-]{86})")


class QuestionContent(Protocol):
    """What a question of any type says."""

    @property
    def question(self) -> str:
        """The question itself."""
        ...

    @property
    def context(self) -> str:
        """What people need to know."""
        ...

    @property
    def agent(self) -> str:
        """Who asks."""
        ...

    @property
    def form(self) -> dict[str, Any] | None:
        """What an answer must be; None: any text."""
        ...

    @property
    def call(self) -> Call | None:
        """The call that is to be approved; None: it is not an approval."""
        ...

    @property
    def quorum(self) -> Quorum | None:
        """What it takes to decide it; None: one answer."""
        ...


def canonical(value: Any) -> str:
    """Canonical JSON: keys sorted, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def digest(asked: QuestionContent) -> str:
    """The SHA-256 of everything that is asked, as 64 hexadecimal digits."""
    call, quorum = asked.call, asked.quorum
    fields: tuple[tuple[str, str], ...] = (
        ("question", asked.question),
        ("context", asked.context),
        ("agent", asked.agent),
        ("form", "" if asked.form is None else canonical(asked.form)),
        ("tool", "" if call is None else call.tool),
        ("arguments", "" if call is None else call.arguments),
    )
    if quorum is not None:
        fields = (*fields, ("quorum", canonical(msgspec.to_builtins(quorum))))
    return hashlib.sha256(_bytes(_QUESTION, fields)).hexdigest()


class Statement(NamedTuple):
    """What the signer of an answer states."""

    ticket: str
    run: str
    question: str
    """The question's id."""
    role: str
    asked: str
    """The `digest` of what is asked."""
    answer: str
    by: str
    expires: int
    """Unix seconds: an answer that is stored later does not count."""

    @property
    def payload(self) -> bytes:
        """The bytes that are signed."""
        fields = zip(self._fields, map(str, self), strict=True)
        return _bytes(_ANSWER, tuple(fields))

    def signed(self, signer: Signer) -> Signature:
        """The signature of this statement."""
        return Signature(signer.public, self.expires, signer.sign(self.payload))


class Signature(NamedTuple):
    """The content of an answer's signature header."""

    key: str
    """The public nkey, `U...`."""
    expires: int
    value: bytes

    @classmethod
    def parse(cls, text: str) -> Signature | None:
        """Read a header; None: it is not in the only form that is allowed."""
        found = _FORM.fullmatch(text)
        if found is None:
            return None
        signature = cls(found[1], int(found[2]), base64.urlsafe_b64decode(found[3] + "=="))
        return signature if str(signature) == text else None

    def __str__(self) -> str:
        value = base64.urlsafe_b64encode(self.value).decode().rstrip("=")
        return f"{VERSION}.{self.key}.{self.expires}.{value}"

    def covers(self, statement: Statement) -> bool:
        """Whether the holder of the key signed that statement."""
        return verifies(self.key, self.value, statement.payload)


def _bytes(head: bytes, fields: tuple[tuple[str, str], ...]) -> bytes:
    """Each field with its name and length, so that one text cannot pass for two fields."""
    parts = [head]
    for name, text in fields:
        data = text.encode("utf-8", "surrogatepass")
        parts.append(b"%s %d\n%s\n" % (name.encode(), len(data), data))
    return b"".join(parts)
