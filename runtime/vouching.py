"""Who vouches for the name on an answer, and whether that is enough. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from .entry import Answered, Voted
from .quorum import Quorum
from .role import Role
from .signature import HEADER, QuestionContent, Signature, Statement, digest
from .times import iso
from .vouched import NONE, SIGNATURE, Vouched

Accept: TypeAlias = "Vouched | Sequence[Vouched] | None"
"""Which answers count, by who vouches for their authors; None: all, or what the role needs."""


class PutQuestion(QuestionContent, Protocol):
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

    @property
    def quorum(self) -> Quorum | None:
        """What it takes to decide it; None: one answer."""
        ...

    @property
    def only(self) -> str:
        """The one person who may answer it; empty: anybody who may answer for the role."""
        ...


class Signers:
    """The roles whose answers must be signed, as the app declares them, whatever a log says."""

    def __init__(self, roles: Iterable[Role] = ()) -> None:
        self.roles = {role.name: role for role in roles if role.signs}

    def __contains__(self, role: object) -> bool:
        return role in self.roles

    def __bool__(self) -> bool:
        return bool(self.roles)

    def why_not(self, role: str, by: str, key: str, at: float) -> str:
        """Why `key` does not count for `by` in a role at time `at`; empty when it does."""
        declared = self.roles.get(role)
        if declared is None:
            return f"no keys are known of the role {role!r}"
        keys = declared.keys.get(by)
        if keys is None:
            return f"{by!r} has no key in the role {role!r}"
        if key not in keys:
            return f"its key does not belong to {by!r} in the role {role!r}: {key}"
        retired = declared.retired.get(key)
        if retired is not None and at >= retired:
            return f"the key {key} of {by!r} was retired at {iso(retired)}"
        return ""


class Refusal(NamedTuple):
    """Why an answer does not count."""

    why: str
    of_key: bool = False
    """Whether the signature fits, and only the key does not count, or no longer does."""


def refused(
    ticket: str,
    run: str,
    put: PutQuestion,
    answer: Answered | Voted,
    signers: Signers | None,
) -> Refusal | None:
    """Why an answer or a vote in a log does not count; None when it does.

    Without `signers` the owners of keys are unknown: then the signature need only fit its key.
    """
    if isinstance(answer, Answered) and put.quorum is not None:
        return Refusal("several people decide this question, and this is one answer")
    if put.only and (answer.by != put.only or answer.vouched == NONE):
        return Refusal(f"only {put.only} may answer this question, under their own name")
    role = answer.role if isinstance(answer, Voted) else put.role
    if must_sign(put, role, signers):
        return _unsigned(ticket, run, put, answer, role=role, signers=signers)
    if put.accept and answer.vouched not in put.accept:
        wanted = " or ".join(put.accept)
        return Refusal(f"the question takes only answers that are vouched for by {wanted}")
    return None


def must_sign(put: PutQuestion, role: str, signers: Signers | None) -> bool:
    """Whether an answer for a role must be signed, by the app's declaration or by the question."""
    if signers is not None and role in signers:
        return True
    return role in put.quorum.signed if put.quorum is not None else SIGNATURE in put.accept


def _unsigned(
    ticket: str,
    run: str,
    put: PutQuestion,
    answer: Answered | Voted,
    *,
    role: str,
    signers: Signers | None,
) -> Refusal | None:
    if not answer.signature:
        return Refusal(f"the role {role!r} takes signed answers only: this has no {HEADER}")
    signature = Signature.parse(answer.signature)
    if signature is None:
        return Refusal(f"its {HEADER} cannot be read")
    statement = Statement(
        ticket=ticket,
        run=run,
        question=put.id,
        role=role,
        asked=digest(put),
        answer=answer.text,
        by=answer.by,
        expires=signature.expires,
    )
    fits = signature.covers(statement)
    if signers is not None and (why := signers.why_not(role, answer.by, signature.key, answer.at)):
        return Refusal(why, of_key=fits)
    if not fits:
        return Refusal("its signature does not fit: it is for another question or another answer")
    if answer.at > signature.expires:
        until = iso(signature.expires)
        return Refusal(f"its signature was valid until {until} and it was stored later")
    return None
