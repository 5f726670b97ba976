"""Seeded faults in what people say besides answering: what the campaign `claims` must catch."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any

from layby.actors.people import act_taking, rung_publisher, rungs, sent_acts
from layby.actors.people.question_closing import QuestionCloser
from layby.runtime import act_fold, acts
from layby.runtime.act_records import Passed
from layby.runtime.state import OPEN

from .replacing import replace


def _unknown(*_: Any) -> None:
    return None


def _somebody(*_: Any) -> bool:
    return True


async def _nothing_before(*_: Any) -> AsyncGenerator[Any]:
    return
    yield


def claims_win_as_they_arrive() -> None:
    """Record an act without those that were stored before it."""
    replace(sent_acts.SentActs, "between", lambda _: _nothing_before)


def second_claim_wins() -> None:
    """Let everybody claim what somebody has claimed."""
    for place in (acts, act_fold):
        replace(place, "held_by_another", lambda _: _unknown)


def claim_lasts_for_ever() -> None:
    """Forget that a claim expires."""

    def make(claim_at: Any) -> Any:
        def always(said: Iterable[Any], at: float) -> Any:
            del at
            return claim_at(said, float("-inf"))

        return always

    replace(acts, "claim_at", make)
    replace(rungs, "claim_at", make)


def everybody_is_reminded() -> None:
    """Remind everybody of a question that somebody is on."""
    replace(rungs, "_silencing", lambda _: _unknown)


def act_acked_first() -> None:
    """Acknowledge an act before it is recorded."""

    def make(take: Any) -> Any:
        async def hasty(self: Any, delivery: Any) -> None:
            await delivery.ack()
            await take(self, delivery)

        return hasty

    replace(act_taking.Acts, "take", make)


def passed_to_nobody() -> None:
    """Publish no question that was passed on."""

    def make(show: Any) -> Any:
        async def hidden(self: Any, live: Any, record: Any, *, again: bool) -> None:
            if not isinstance(record, Passed):
                await show(self, live, record, again=again)

        return hidden

    replace(rung_publisher.RungPublisher, "show", make)


def declined_by_all_and_nobody_asked() -> None:
    """Take it that somebody is left who may answer."""
    replace(acts, "is_anybody_left", lambda _: _somebody)


def claim_kept_from_others() -> None:
    """Do not say in a ticket's record who is on it, as long as it is open."""

    def make(sync: Any) -> Any:
        async def quiet(self: Any, live: Any, question: Any) -> None:
            if question.status != OPEN:
                live.state.acts.pop(question.id, None)
                await sync(self, live, question)

        return quiet

    replace(QuestionCloser, "sync", make)


FAULTS: tuple[tuple[Callable[[], None], tuple[str, ...]], ...] = (
    (claims_win_as_they_arrive, ("wrong receipt", "act recorded wrongly")),
    (second_claim_wins, ("wrong receipt", "act recorded wrongly")),
    (claim_lasts_for_ever, ("wrong receipt",)),
    (everybody_is_reminded, ("claim not kept",)),
    (act_acked_first, ("answer without receipt",)),
    (passed_to_nobody, ("pass lost",)),
    (declined_by_all_and_nobody_asked, ("declined by all",)),
    (claim_kept_from_others, ("claim shown wrongly",)),
)
"""Each with the kinds of violation that it must show as."""
