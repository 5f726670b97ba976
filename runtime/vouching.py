"""Who vouches for the name of whoever answered, and whether that is enough. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias

from .entry import Answered
from .role import Role
from .signature import HEADER, Asking, Signature, Statement, digest
from .times import iso

NATS = "nats"
SIGNATURE = "signature"
NONE = "none"
"""What an answer records: the name is a word of the subject, which the server can hold its user to;
a signature; nothing, for `by` is a claim."""
_Vouched: TypeAlias = Literal["nats", "signature", "none"]
Accept: TypeAlias = "_Vouched | Sequence[_Vouched] | None"
"""Which answers count, by who vouches for whoever gave them; None: all, or what the role needs."""


class Put(Asking, Protocol):
    """A question that was put to people."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def role(self) -> str:
        """Who is asked."""
        ...

    @property
    def accept(self) -> list[str]:
        """Who must vouch for an answer; empty: nobody."""
        ...


class Signers:
    """The roles whose answers must be signed, as the app declares them and no log does."""

    def __init__(self, roles: Iterable[Role] = ()) -> None:
        self.roles = {role.name: role for role in roles if role.signs}

    def __contains__(self, role: object) -> bool:
        return role in self.roles

    def __bool__(self) -> bool:
        return bool(self.roles)

    def why_not(self, role: str, by: str, key: str, at: float) -> str:
        """Why `key` does not speak for `by` in a role at `at`; empty when it does."""
        declared = self.roles.get(role)
        if declared is None:
            return f"no keys are known of the role {role!r}"
        keys = declared.keys.get(by)
        if keys is None:
            return f"{by!r} has no key in the role {role!r}"
        if key not in keys:
            return f"it is signed with a key that is none of {by!r} in the role {role!r}: {key}"
        retired = declared.retired.get(key)
        if retired is not None and at >= retired:
            return f"the key {key} of {by!r} was retired at {iso(retired)}"
        return ""


class Refusal(NamedTuple):
    """Why an answer does not count."""

    why: str
    of_key: bool = False
    """Whether its signature fits, and only the key is none that counts, or does not any more."""


def refused(
    ticket: str, run: str, put: Put, answer: Answered, signers: Signers | None
) -> Refusal | None:
    """Why an answer in a log does not count; None when it does.

    Without `signers` nobody knows whose a key is: then it need only be the one that has signed.
    """
    if signers is not None and put.role in signers:
        return _unsigned(ticket, run, put, answer, signers)
    if not put.accept:
        return None
    if SIGNATURE in put.accept:
        return _unsigned(ticket, run, put, answer, signers)
    if answer.vouched not in put.accept:
        wanted = " or ".join(put.accept)
        return Refusal(f"the question takes only answers that are vouched for by {wanted}")
    return None


def _unsigned(
    ticket: str, run: str, put: Put, answer: Answered, signers: Signers | None
) -> Refusal | None:
    if not answer.signature:
        return Refusal(f"the role {put.role!r} takes signed answers only: this has no {HEADER}")
    signature = Signature.parse(answer.signature)
    if signature is None:
        return Refusal(f"its {HEADER} cannot be read")
    statement = Statement(
        ticket=ticket,
        run=run,
        question=put.id,
        role=put.role,
        asked=digest(put),
        answer=answer.text,
        by=answer.by,
        expires=signature.expires,
    )
    fits = signature.covers(statement)
    if signers is not None and (
        why := signers.why_not(put.role, answer.by, signature.key, answer.at)
    ):
        return Refusal(why, of_key=fits)
    if not fits:
        return Refusal("its signature does not fit: it is for another question or another answer")
    if answer.at > signature.expires:
        until = iso(signature.expires)
        return Refusal(f"its signature was good until {until} and it was stored later")
    return None
