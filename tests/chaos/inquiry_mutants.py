"""Seeded faults in what people ask back and look at: what the campaign `claims` must catch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from layby.actors.people import act_decision
from layby.actors.people.opening import Openings
from layby.runtime import ask_back_fold, conflicts, openings, question_clock
from layby.runtime.ask_back_records import Replied
from layby.runtime.replying import Replying

from .replacing import replace


def _no(*_: Any) -> bool:
    return False


def _nothing(*_: Any) -> list[Any]:
    return []


def _unknown(*_: Any) -> None:
    return None


def _nobody(*_: Any) -> set[str]:
    return set()


async def _none(*_: Any) -> None:
    """Do not do it."""


def asked_back_unrecorded() -> None:
    """Say that something asked back is recorded, and record nothing."""
    replace(act_decision, "ask_back", lambda _: _nothing)


def replied_twice() -> None:
    """Record each reply again."""
    replace(ask_back_fold, "is_late", lambda _: _no)
    conflicts._CONFLICTS[Replied] = _no

    def make(record: Any) -> Any:
        async def twice(self: Any, *more: Any) -> None:
            await record(self, *more)
            await record(self, *more)

        return twice

    replace(Replying, "_record_reply", make)


def never_replied() -> None:
    """Let whoever asks back wait for ever."""
    replace(Replying, "_reply_to", lambda _: _none)


def first_replied_to_alone() -> None:
    """Reply to everything as to what was asked back first."""

    def make(explained: Any) -> Any:
        async def of_the_first(self: Any, by: Any, question: Any, asked: Any, place: int) -> Any:
            del place
            return await explained(self, by, question, asked, 0)

        return of_the_first

    replace(Replying, "_explained", make)


def clock_runs_on() -> None:
    """Let the deadline stay where it was while something asked back has no reply."""
    replace(question_clock, "stop", lambda _: _unknown)


def clock_stands_for_ever() -> None:
    """Let the clock stand on once everything asked back has a reply."""
    replace(question_clock, "start", lambda _: _unknown)


def opened_twice() -> None:
    """Forget who has looked at a question."""
    replace(openings, "people", lambda _: _nobody)


def looks_forgotten() -> None:
    """Acknowledge that somebody has looked at a question, and record nothing."""
    replace(Openings, "_record", lambda _: _none)


FAULTS: tuple[tuple[Callable[[], None], tuple[str, ...]], ...] = (
    (asked_back_unrecorded, ("question back recorded wrongly",)),
    (replied_twice, ("replied twice",)),
    (never_replied, ("reply lost",)),
    (first_replied_to_alone, ("wrong reply",)),
    (clock_runs_on, ("clock wrong",)),
    (clock_stands_for_ever, ("wrong receipt", "wrong decision")),
    (opened_twice, ("look recorded wrongly",)),
    (looks_forgotten, ("look lost",)),
)
"""Each with the kinds of violation that it must show as."""
