"""Who has looked at a question, by what they sent, against the log. Pure.

It shares no line with what it judges.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from layby.runtime.act_records import Said
from layby.runtime.ask_back_records import AskedBack
from layby.runtime.opened_records import OpenedQuestion

from .history import ActSent
from .inquiries import LOST_AFTER
from .violation import Violation


class Trace(NamedTuple):
    """An entry of a log that shows that somebody knows a question."""

    n: int
    record: OpenedQuestion | AskedBack | Said


class Watched(NamedTuple):
    """Who has looked at one question."""

    id: str
    shown: Mapping[str, float]
    """By role: when it could be read there."""
    traces: Sequence[Trace]
    looks: Sequence[ActSent]
    closed_n: int
    closed_at: float
    """Unix seconds; while it is open: now."""


def wrongs(one: Watched, was_away: Callable[[float, float], bool]) -> Iterator[Violation]:
    """What is wrong with what is recorded of looks.

    `was_away`: whether in a span of time somebody who might have recorded one was not there.
    """
    sent = {look.seq: look for look in one.looks}
    known: set[str] = set()
    for each in one.traces:
        record = each.record
        if isinstance(record, OpenedQuestion):
            text = f"question {one.id}: {record} at {each.n}"
            look = sent.get(record.seq)
            if look is None or look.by != record.by or _named(look) not in {"", one.id}:
                yield Violation("look recorded wrongly", f"{text}, and what was sent is {look}")
            if record.by in known:
                yield Violation("look recorded wrongly", f"{text}, and it was known")
            if one.closed_n and each.n > one.closed_n:
                yield Violation("look recorded wrongly", f"{text}, closed at {one.closed_n}")
        known.add(record.by)
    for look in one.looks:
        shown = one.shown.get(look.role, float("inf"))
        counts = look.by and _named(look) in {"", one.id} and look.by not in known
        until = look.at + LOST_AFTER
        is_old = shown < look.at - 1.0 and until < one.closed_at
        if counts and is_old and not was_away(shown, until):
            yield Violation("look lost", f"question {one.id}: {look}")


def _named(look: ActSent) -> str | None:
    """The question that a look names, empty for the only one; None: nobody can understand it."""
    try:
        body: dict[str, object] = json.loads(look.data or b"{}")
    except ValueError:
        return None
    named = body.get("questionId", "")
    return named if isinstance(named, str) else None
