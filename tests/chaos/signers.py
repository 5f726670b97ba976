"""The role whose answers are signed, its keys, and what somebody without one tries."""

from __future__ import annotations

from typing import Final, NamedTuple

from layby import Role
from layby.client.signing import Published, sign_answer
from layby.runtime.nkey import Signer

ROLE: Final = "signer"
FORGED: Final = "forged: "
"""How every answer begins that must not count."""
ALICE: Final = Signer(bytes([1]) * 32)
BOB: Final = Signer(bytes([2]) * 32)
_EVE: Final = Signer(bytes([3]) * 32)
ROLES: Final = ("developer", Role(ROLE, keys={"alice": ALICE.public, "bob": BOB.public}))


class Said(NamedTuple):
    """An answer on its way: whose subject it is sent on, its text, and its header."""

    by: str
    text: str
    signature: str = ""


def genuine(question: Published) -> Said:
    """What alice says. Raises NotToBeSigned when it is too late."""
    text = right(question.question)
    return Said("alice", text, _signed(question, text, ALICE))


def forged(question: Published) -> list[Said]:
    """What others say in her name, or she without her key. Raises NotToBeSigned."""
    text = f"{FORGED}{question.question}"
    return [
        Said("alice", text),
        Said("alice", text, "v1.nonsense"),
        Said("alice", text, _signed(question, text, _EVE)),
        Said("alice", text, _signed(question, right(question.question), ALICE)),
        Said("bob", text, _signed(question, text, ALICE)),
    ]


def right(question: str) -> str:
    """What alice answers to a question."""
    return f"signed answer to {question}"


def _signed(question: Published, text: str, signer: Signer) -> str:
    return str(sign_answer(question, text, by="alice", signer=signer).signature)
