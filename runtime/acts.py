"""What people said to an open question besides answering it, and what follows from it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from .act_records import ClaimedQuestion, Passed, Said, Verb
from .ladder import PERSON, ROLE

MOST = 256
"""The most that is recorded for one question, whose log has no other limit."""
MOST_OF_ONE = 32
"""The same for one person, who cannot use up what others may say."""


class Act(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One thing that a person said, in the order of the stream of answers."""

    verb: Verb
    by: str
    at: float
    """When it was stored, Unix seconds."""
    seq: int
    """Its sequence in the stream of answers."""
    until: float = 0.0
    """For a claim: when it expires; equal to `at`: it is released."""
    to: str = ""
    """For a pass: who is asked, `role:lead` or `person:bob`."""


def act_of(record: Said) -> Act:
    """What a record says."""
    verb: Verb = "decline"
    until, to = 0.0, ""
    if isinstance(record, ClaimedQuestion):
        verb, until = "claim", record.until
    elif isinstance(record, Passed):
        verb, to = "pass", record.to
    return Act(verb=verb, by=record.by, at=record.at, seq=record.seq, until=until, to=to)


def claim_at(acts: Iterable[Act], at: float) -> Act | None:
    """The claim that holds at a time; None: nobody has claimed the question, or it has expired.

    Whoever passes the question on, or declines it, gives up their claim.
    """
    held: Act | None = None
    for act in acts:
        if act.verb == "claim":
            held = act if act.until > act.at else None
        elif held is not None and held.by == act.by:
            held = None
    return held if held is not None and at < held.until else None


def why_not(acts: Sequence[Act], act: Act) -> str:
    """Why an act cannot follow those before it; empty if it can."""
    if acts and act.seq <= acts[-1].seq:
        return "something that was said later is recorded already: say it again"
    if len(acts) >= MOST:
        return f"people have said {MOST} things to this question: no more is recorded"
    if sum(each.by == act.by for each in acts) >= MOST_OF_ONE:
        return f"{act.by} has said {MOST_OF_ONE} things to this question: no more is recorded"
    held = claim_at(acts, act.at)
    if act.verb == "claim" and act.until <= act.at and (held is None or held.by != act.by):
        return f"{act.by} has not claimed it, or the claim has expired"
    return ""


def held_by_another(acts: Iterable[Act], act: Act) -> Act | None:
    """Somebody else's claim that a claim conflicts with; None: there is none."""
    held = claim_at(acts, act.at) if act.verb == "claim" else None
    return held if held is not None and held.by != act.by else None


def declined(acts: Iterable[Act]) -> tuple[str, ...]:
    """Who will not answer the question: they declined it or passed it on, and did not return."""
    out: dict[str, None] = {}
    for act in acts:
        if act.verb == "claim":
            out.pop(act.by, None)
            continue
        out[act.by] = None
        if act.to.startswith(PERSON):
            out.pop(act.to.removeprefix(PERSON), None)
    return tuple(out)


def is_anybody_left(
    acts: Iterable[Act], asked: Iterable[str], people: Mapping[str, Sequence[str]]
) -> bool:
    """Whether somebody who was asked may still answer.

    Args:
        acts: What was said.
        asked: Who was asked, `person:ada` or `role:lead`.
        people: By role: who is in it. In a role that is missing here, somebody may be left.
    """
    out = set(declined(acts))
    for each in asked:
        if each.startswith(PERSON):
            names: Sequence[str] = [each.removeprefix(PERSON)]
        else:
            role = each.removeprefix(ROLE)
            if role not in people:
                return True
            names = people[role]
        if not out.issuperset(names):
            return True
    return False
