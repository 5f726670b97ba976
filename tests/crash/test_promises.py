"""Promises outside the campaigns: each has a fault here that its acceptance test catches."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from collections.abc import AsyncGenerator, Sequence
from typing import Any
from unittest.mock import ANY

import pytest
from starlette.requests import Request

from layby.actors.agents import loop
from layby.actors.models.model import Usage
from layby.actors.people import (
    contest,
    earlier_answers,
    notifier,
    rota_book,
    rung_publisher,
    rungs,
    unserved,
)
from layby.actors.people import published_questions as showing
from layby.actors.people.human import Human
from layby.actors.people.notices import Notices
from layby.actors.people.notifier import Notifier
from layby.actors.people.question_closing import QuestionCloser
from layby.actors.people.rung_publisher import RungPublisher
from layby.actors.people.sent_acts import SentActs
from layby.actors.people.undelivered import GivingUp
from layby.actors.people.unserved import CardWatch
from layby.actors.threads import history
from layby.actors.workflows.workflow_step import WorkflowStep
from layby.bus.blobs import Blobs
from layby.bus.bucket import Bucket
from layby.bus.reading import every
from layby.console.acting import look
from layby.console.login.session import session_of
from layby.console.pages import inbox, inbox_opening
from layby.operations import purging
from layby.runtime import (
    act_fold,
    acts,
    ask_on_failure,
    conflicts,
    openings,
    question_clock,
    tally,
)
from layby.runtime.acts import Act
from layby.runtime.ask_on_failure import FailureDecision
from layby.runtime.cards import SentCard
from layby.runtime.entry import Cancelled
from layby.runtime.ladder import Ladder
from layby.runtime.ladder_records import Reached
from layby.runtime.replying import Replying
from layby.testing import MemoryChannel
from tests.acceptance.test_answers import (
    test_a_question_that_a_lagging_copy_hides_makes_an_unnamed_answer_ambiguous as lagging_copy,
)
from tests.acceptance.test_ask_backs import (
    test_an_agent_replies_without_a_trace_in_its_conversation as beside,
)
from tests.acceptance.test_ask_backs import (
    test_an_answer_after_the_first_deadline_counts_while_the_clock_is_stopped as stands,
)
from tests.acceptance.test_ask_backs import (
    test_requests_for_replies_use_up_no_questions_of_the_run as asked_no_longer,
)
from tests.acceptance.test_ask_backs import (
    test_while_nobody_replies_the_clock_is_stopped_and_then_the_deadline_is_later as starts_again,
)
from tests.acceptance.test_blocked import (
    test_a_person_ends_a_failed_run_with_a_value_or_lets_it_fail as ended_with_a_value,
)
from tests.acceptance.test_blocked_tools import (
    test_after_silence_a_failed_call_reaches_the_model as silence,
)
from tests.acceptance.test_claims import (
    test_a_claim_is_seen_by_all_and_a_second_one_learns_whose_it_is as one_claim,
)
from tests.acceptance.test_claims import (
    test_after_a_claim_has_expired_everybody_is_reminded_again as expired_claim,
)
from tests.acceptance.test_claims import (
    test_the_claim_that_was_stored_first_wins_while_a_dead_worker_holds_it as first_claim,
)
from tests.acceptance.test_claims import (
    test_when_everybody_has_declined_the_next_escalation_is_reached_at_once as all_declined,
)
from tests.acceptance.test_console_opened import (
    test_no_get_records_that_somebody_has_looked as no_get,
)
from tests.acceptance.test_ladder import (
    test_a_rung_is_not_published_once_its_question_is_closed as closed_rung,
)
from tests.acceptance.test_ladder import (
    test_a_rung_whose_worker_fails_at_every_step_is_reached_and_published_once as rung_once,
)
from tests.acceptance.test_ladder import (
    test_an_earlier_answer_wins_even_if_no_record_has_its_escalation as unrecorded,
)
from tests.acceptance.test_notifier import (
    test_a_card_is_not_sent_again_when_its_message_comes_again as sent_once,
)
from tests.acceptance.test_notifier import (
    test_a_card_is_rewritten_while_its_run_goes_on as rewritten,
)
from tests.acceptance.test_notifier import (
    test_a_held_card_of_a_closed_question_is_never_sent as never_sent,
)
from tests.acceptance.test_notifier import (
    test_a_question_closed_while_its_card_is_sent_is_shown_as_closed as closed_meanwhile,
)
from tests.acceptance.test_notifier import (
    test_a_question_that_no_channel_can_show_is_escalated_at_once as escalated,
)
from tests.acceptance.test_notifier import (
    test_a_question_that_one_channel_has_shown_is_not_undelivered as known_to_one,
)
from tests.acceptance.test_opened import (
    test_a_worker_that_begins_with_the_parked_state_knows_who_has_looked as opened_once,
)
from tests.acceptance.test_removed import (
    test_a_late_end_of_a_run_does_not_end_the_child_of_the_run_taken_up_again as late_end,
)
from tests.acceptance.test_removed import (
    test_a_run_that_was_taken_up_again_is_not_removed as taken_up_again,
)
from tests.acceptance.test_retention import (
    test_a_child_stays_while_its_parent_needs_it as needed_child,
)
from tests.acceptance.test_retention import (
    test_a_purge_leaves_nothing_of_a_run_that_asked as nothing_left,
)
from tests.acceptance.test_rota_cli import (
    test_an_edit_that_is_delivered_again_does_not_undo_a_later_one as edited_again,
)
from tests.acceptance.test_rota_cli import (
    test_concurrent_edits_are_all_kept as edits_at_once,
)
from tests.acceptance.test_step_agent import (
    test_a_thread_spans_several_runs as agents_thread,
)
from tests.acceptance.test_threads import (
    test_a_thread_beyond_a_token_budget_is_cut as long_thread,
)
from tests.acceptance.test_unserved import (
    test_a_card_that_no_process_can_send_is_undelivered_and_escalated as unserved_card,
)
from tests.acceptance.test_unserved import (
    test_a_held_card_is_sent_later_if_no_process_ran_at_its_time as unserved_then_sent,
)
from tests.acceptance.test_votes import (
    test_a_vote_that_could_not_be_recorded_is_handled_again as handled_again,
)
from tests.acceptance.test_votes import (
    test_the_votes_that_were_stored_first_decide_while_a_dead_worker_holds_one as stored_first,
)
from tests.acceptance.test_votes import (
    test_two_votes_of_one_person_are_not_a_quorum as one_person,
)
from tests.acceptance.test_votes import (
    test_votes_of_a_group_that_the_record_lacks_count as unknown_group,
)
from tests.engine import Engine

pytestmark = [pytest.mark.nats, pytest.mark.proof]


def _no(*_: Any) -> bool:
    return False


def _unknown(*_: Any) -> None:
    return None


async def _never(*_: Any) -> bool:
    return False


async def _always(*_: Any) -> bool:
    return True


async def _none(*_: Any) -> None:
    """Find nothing."""


async def _nothing(*_: Any) -> int:
    return 0


def _no_usage(*_: Any) -> Usage:
    return Usage()


def _free(*_: Any) -> int:
    return 0


async def _no_more(*_: Any, **__: Any) -> AsyncGenerator[Any]:
    nothing: list[Any] = []
    for message in nothing:
        yield message


async def _once(requests: Any, stream: str, subject: str, *_: Any, **__: Any) -> Any:
    """What some copy has, however far its leader is."""
    async for message in every(requests, stream, subject):
        yield message


def _holds(record: Any, role: str, newest: int) -> bool:
    del record, role, newest
    return True


def _never_expires(said: Sequence[Act], at: float) -> Act | None:
    del at
    return said[-1] if said else None


def _nobody(*_: Any) -> set[str]:
    return set()


def _somebody(*_: Any) -> bool:
    return True


def _always_fails(value: Any, question: str) -> FailureDecision:
    del value
    return FailureDecision("fail", question=question)


def _silence_is_a_value(value: Any, question: str) -> FailureDecision:
    return FailureDecision("skip", value, question)


_taken = Human.answer


async def _acknowledged_first(self: Human, delivery: Any) -> None:
    await delivery.ack()
    await _taken(self, delivery)


_in_thread = WorkflowStep._in_thread  # pyright: ignore[reportPrivateUsage]


def _in_no_thread(step: WorkflowStep, key: str, thread: str, *more: Any) -> Any:
    del thread
    return _in_thread(step, key, "", *more)


@pytest.mark.parametrize(
    ("owner", "name", "fault", "promise"),
    [
        (ask_on_failure, "_read", _always_fails, ended_with_a_value),
        (ask_on_failure, "_read", _silence_is_a_value, silence),
        (purging.Purge, "_fence", _always, taken_up_again),
        (purging.Purge, "_parent_needs", _never, needed_child),
        (Blobs, "purge", _nothing, nothing_left),
        (WorkflowStep, "_in_thread", _in_no_thread, agents_thread),
        (history, "_length", _free, long_thread),
        (showing, "up_to", _once, lagging_copy),
        (showing, "holds_all", _holds, lagging_copy),
        (tally, "voted_before", _unknown, one_person),
        (earlier_answers, "sent_by", _no_more, stored_first),
        (Human, "answer", _acknowledged_first, handled_again),
        (SentActs, "between", _no_more, first_claim),
        (rungs, "claim_at", _never_expires, expired_claim),
        (acts, "is_anybody_left", _somebody, all_declined),
        (openings, "people", _nobody, opened_once),
        (question_clock, "stop", _unknown, stands),
        (question_clock, "start", _unknown, starts_again),
        (loop, "replies_in", _no_usage, beside),
        (Replying, "_withdraw_requests", _none, asked_no_longer),
    ],
    ids=[
        "decision_about_a_run_is_lost",
        "silence_about_a_tool_is_a_value",
        "purge_without_a_fence",
        "needed_child_is_purged",
        "blobs_stay",
        "agent_alone_has_no_thread",
        "threads_cost_nothing",
        "lagging_copy_is_believed",
        "record_is_believed_to_hold_all",
        "one_person_is_two_votes",
        "votes_decide_as_they_arrive",
        "vote_is_acknowledged_unrecorded",
        "claims_win_as_they_arrive",
        "claim_silences_after_its_expiry",
        "declined_by_all_and_nobody_is_asked",
        "opened_twice",
        "clock_runs_on",
        "clock_stands_for_ever",
        "replies_cost_nothing",
        "request_for_a_reply_stays",
    ],
)
async def test_its_acceptance_test_catches(  # noqa: PLR0917  by the names of the fixtures
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    fault: Any,
    promise: Any,
) -> None:
    monkeypatch.setattr(owner, name, fault)
    takes = promise.__code__.co_varnames[: promise.__code__.co_argcount]
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await (promise(engine, monkeypatch) if "monkeypatch" in takes else promise(engine))


async def test_a_look_recorded_by_a_get_is_caught(
    layby_running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def opened_from_a_get(request: Request, *given: Any, **more: Any) -> Any:
        found = await inbox_opening.open_view(request, *given, **more)
        if found is not None:
            await look(session_of(request), found.row)
        return found

    monkeypatch.setattr(inbox, "open_view", opened_from_a_get)
    with pytest.raises(AssertionError):
        await no_get(layby_running)


async def test_a_late_end_that_ends_a_child_is_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(conflicts._CONFLICTS, Cancelled, _no)  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(AssertionError):
        await late_end(engine, monkeypatch)


async def test_a_second_claim_that_wins_is_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (acts, act_fold):
        monkeypatch.setattr(place, "held_by_another", _unknown)
    with pytest.raises(AssertionError):
        await one_claim(engine)


async def test_a_rung_that_fires_twice_is_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(conflicts._CONFLICTS, Reached, _no)  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(Ladder, "was_reached", _no)
    monkeypatch.setattr(rungs, "_was_reached", _no)
    with pytest.raises(AssertionError):
        await rung_once(engine, monkeypatch)


async def test_a_reminder_that_is_published_twice_is_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = RungPublisher._headers  # pyright: ignore[reportPrivateUsage]

    def without_id(publisher: RungPublisher, *more: Any) -> dict[str, str]:
        return {**headers(publisher, *more), "Nats-Msg-Id": uuid.uuid4().hex}

    monkeypatch.setattr(RungPublisher, "_headers", without_id)
    monkeypatch.setattr(RungPublisher, "_find", _none)
    with pytest.raises(AssertionError):
        await rung_once(engine, monkeypatch)


async def test_a_rung_that_fires_after_the_close_is_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rung_publisher, "OPEN", ANY)
    with pytest.raises(AssertionError):
        await closed_rung(engine, monkeypatch)


async def test_an_escalated_answer_that_loses_to_a_later_one_is_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unchanged(record: Any, role: str) -> Any:
        del role
        return record

    monkeypatch.setattr(contest, "record_for", unchanged)
    with pytest.raises(AssertionError):
        await unrecorded(engine, monkeypatch)


async def test_overlooking_a_group_that_no_record_has_is_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QuestionCloser, "note_roles", _never)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await unknown_group(engine, monkeypatch)


async def test_overlooking_an_escalation_that_no_record_has_is_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QuestionCloser, "note_roles", _never)
    with pytest.raises(AssertionError):
        await unrecorded(engine, monkeypatch)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test that waits for a card in vain fail soon."""
    for wait in (MemoryChannel.wait_closed, MemoryChannel.wait):
        given = wait.__defaults__ or ()
        monkeypatch.setattr(wait, "__defaults__", (*given[:-1], 3.0))


async def test_sending_a_card_again_is_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SentCard, "is_final", _no)
    with pytest.raises(AssertionError):
        await sent_once(engine)


async def test_a_card_of_a_closed_question_is_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "OPEN", ANY)
    with pytest.raises(AssertionError):
        await never_sent(engine, monkeypatch)


async def test_calling_a_shown_question_undelivered_is_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def all_others(giving_up: Any, state: Any, record: Any) -> set[str]:
        del state
        return set(giving_up._channels) - {record.channel}

    monkeypatch.setattr(GivingUp, "_failed", all_others)
    with pytest.raises(AssertionError):
        await known_to_one(engine)


@pytest.mark.usefixtures("impatient")
async def test_losing_a_question_that_nobody_was_told_of_is_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GivingUp, "_append", _always)
    with pytest.raises(TimeoutError):
        await escalated(engine, 0)


@pytest.mark.usefixtures("impatient")
async def test_forgetting_a_card_that_no_process_sends_is_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unserved, "_LIMIT", 0.6)
    monkeypatch.setattr(CardWatch, "arm", _none)
    with pytest.raises(TimeoutError):
        await unserved_card(engine)


@pytest.mark.usefixtures("impatient")
async def test_losing_a_card_that_was_held_too_long_is_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unserved, "_LIMIT", 0.6)
    monkeypatch.setattr(SentCard, "waits", property(lambda card: card.status == "held"))
    with pytest.raises(TimeoutError):
        await unserved_then_sent(engine, monkeypatch)


@pytest.mark.usefixtures("impatient")
async def test_a_card_that_still_shows_an_open_question_is_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Notices, "changed", _none)
    with pytest.raises(TimeoutError):
        await rewritten(engine)


@pytest.mark.usefixtures("impatient")
async def test_leaving_a_card_sent_during_the_close_open_is_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Notifier, "_refresh", _none)
    with pytest.raises(TimeoutError):
        await closed_meanwhile(engine)


async def test_a_rota_edit_that_overwrites_another_is_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Bucket.put

    async def blindly(bucket: Any, key: str, value: bytes, **options: Any) -> int:
        if key.startswith("duty."):
            await asyncio.sleep(0.05)  # as long as it takes others to read the same
            options["revision"] = None
        return await put(bucket, key, value, **options)

    monkeypatch.setattr(Bucket, "put", blindly)
    with pytest.raises(AssertionError):
        await edits_at_once(engine)


async def test_a_rota_edit_that_is_done_twice_is_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rota_book, "_EDITS", 0)
    with pytest.raises(AssertionError):
        await edited_again(engine)


def test_every_seeded_fault_finds_its_target() -> None:
    """A fault whose target was moved would look like one that no test catches."""
    program = "from tests.chaos.mutants import MUTANTS\n[each.apply() for each in MUTANTS.values()]"
    subprocess.run([sys.executable, "-c", program], check=True)  # noqa: S603
