"""What can be found wrong with a history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

KINDS = (
    "lost run",
    "run started twice",
    "stuck run",
    "wrong end",
    "lost question",
    "lost acked answer",
    "answer without receipt",
    "accepted but not applied",
    "answer closed another question",
    "answer closed an unseen question",
    "answer in time refused",
    "a later answer won",
    "answer closed one of several",
    "a forged answer counted",
    "receipts disagree",
    "wrong receipt",
    "effect applied 0 times",
    "effect applied 2 times",
    "recorded step ran again",
    "effect before the last record",
    "step ran twice without a fault",
    "fence broken",
    "status disagrees",
    "index disagrees with the log",
    "child outlives its parent",
    "command without outcome",
    "command done twice",
    "wrong outcome",
    "unfoldable log",
    "dead letter",
    "catalogue disagrees with the log",
    "feed ended at other rows",
    "told otherwise over HTTP",
    "one person voted twice",
    "vote without a right",
    "vote after the close",
    "votes out of order",
    "vote lost",
    "wrong decision",
    "rung reached twice",
    "rung published twice",
    "rung after the end",
    "rung before its time",
    "rung missed",
    "rung without its message",
    "wrong person told",
    "rota edit lost",
    "card sent twice",
    "card after the end",
    "card in quiet hours",
    "card lost",
    "card late",
    "card left open",
    "card disagrees with the log",
    "failed card not put aside",
    "undelivered wrongly",
    "undelivered missed",
    "click without outcome",
    "told otherwise on the channel",
    "act recorded wrongly",
    "act lost",
    "claim not kept",
    "claim shown wrongly",
    "declined by all",
    "pass lost",
    "question back recorded wrongly",
    "question back lost",
    "replied twice",
    "reply after the end",
    "reply lost",
    "wrong reply",
    "clock wrong",
    "look recorded wrongly",
    "look lost",
    "told that no stream is there",
)
"""Every kind of violation there is."""
PASSING = frozenset(
    {
        "lost run",
        "stuck run",
        "answer without receipt",
        "accepted but not applied",
        "effect applied 0 times",
        "status disagrees",
        "index disagrees with the log",
        "child outlives its parent",
        "command without outcome",
        "catalogue disagrees with the log",
        "feed ended at other rows",
        "vote lost",
        "rung missed",
        "rung without its message",
        "card lost",
        "card left open",
        "failed card not put aside",
        "click without outcome",
        "act lost",
        "claim shown wrongly",
        "pass lost",
        "question back lost",
        "reply lost",
        "look lost",
    }
)
"""Kinds that time may heal; any other stays once it is seen."""


class Violation(NamedTuple):
    """A promise that was not kept."""

    kind: str
    what: str


def count(violations: Iterable[Violation]) -> dict[str, int]:
    """Violations by kind, the zeros too."""
    found = Counter(violation.kind for violation in violations)
    return {kind: found[kind] for kind in KINDS}
