"""What a signed answer's signature is made over, byte by byte, and how the header writes it.

The bytes are a contract (docs/signed-answers.md): a later version gets another first line.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any, NamedTuple, Protocol

from .call import Call
from .nkey import Signer, verifies

HEADER = "Layby-Signature"
VERSION = "v1"
_QUESTION = b"layby-question-v1\n"
_ANSWER = b"layby-answer-v1\n"
_FORM = re.compile(r"v1\.(U[A-Z2-7]{55})\.([1-9][0-9]{0,11})\.([A-Za-z0-9_-]{86})")


class Asking(Protocol):
    """A question in whatever shape."""

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
        """The call that is to be approved; None: it is no approval."""
        ...


def canonical(value: Any) -> str:
    """JSON of which there is only one: keys sorted, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def digest(asked: Asking) -> str:
    """The SHA-256 of all that is asked, as 64 hexadecimal digits."""
    call = asked.call
    fields = (
        ("question", asked.question),
        ("context", asked.context),
        ("agent", asked.agent),
        ("form", "" if asked.form is None else canonical(asked.form)),
        ("tool", "" if call is None else call.tool),
        ("arguments", "" if call is None else call.arguments),
    )
    return hashlib.sha256(_bytes(_QUESTION, fields)).hexdigest()


class Statement(NamedTuple):
    """What somebody who signs an answer says."""

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
    """Unix seconds: stored later, the answer does not count."""

    @property
    def payload(self) -> bytes:
        """The bytes that are signed."""
        fields = zip(self._fields, map(str, self), strict=True)
        return _bytes(_ANSWER, tuple(fields))

    def signed(self, signer: Signer) -> Signature:
        """The signature of this statement."""
        return Signature(signer.public, self.expires, signer.sign(self.payload))


class Signature(NamedTuple):
    """What the header of an answer holds."""

    key: str
    """The public nkey, `U...`."""
    expires: int
    value: bytes

    @classmethod
    def parse(cls, text: str) -> Signature | None:
        """Read a header; None: it is none, or not in the one form that is allowed."""
        found = _FORM.fullmatch(text)
        if found is None:
            return None
        signature = cls(found[1], int(found[2]), base64.urlsafe_b64decode(found[3] + "=="))
        return signature if str(signature) == text else None

    def __str__(self) -> str:
        value = base64.urlsafe_b64encode(self.value).decode().rstrip("=")
        return f"{VERSION}.{self.key}.{self.expires}.{value}"

    def covers(self, statement: Statement) -> bool:
        """Whether the holder of the key has signed that statement."""
        return verifies(self.key, self.value, statement.payload)


def _bytes(head: bytes, fields: tuple[tuple[str, str], ...]) -> bytes:
    """Each field by its name and length, so that no text can pass for two."""
    parts = [head]
    for name, text in fields:
        data = text.encode("utf-8", "surrogatepass")
        parts.append(b"%s %d\n%s\n" % (name.encode(), len(data), data))
    return b"".join(parts)
