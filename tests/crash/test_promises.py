"""Promises that no campaign needs: each has a fault here that its acceptance test catches."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from layby import purging
from layby.actors import history, showing
from layby.actors.workflow_step import WorkflowStep
from layby.bus.blobs import Blobs
from layby.runtime import clashes, failing
from layby.runtime.entry import Cancelled
from layby.runtime.failing import Decided
from tests.acceptance.test_answers import (
    test_a_question_that_a_lagging_copy_hides_makes_an_unnamed_answer_ambiguous as lagging_copy,
)
from tests.acceptance.test_blocked import (
    test_a_person_ends_a_failed_run_with_a_value_or_lets_it_fail as ended_with_a_value,
)
from tests.acceptance.test_blocked_tools import (
    test_silence_about_a_failed_call_is_told_to_the_model as silence,
)
from tests.acceptance.test_removed import (
    test_a_late_end_of_a_run_does_not_end_the_child_of_the_run_taken_up_again as late_end,
)
from tests.acceptance.test_removed import (
    test_a_run_that_was_taken_up_again_is_not_removed as taken_up_again,
)
from tests.acceptance.test_retention import (
    test_a_child_stays_until_its_parent_needs_it_no_more as needed_child,
)
from tests.acceptance.test_retention import (
    test_a_purge_leaves_nothing_of_a_run_that_asked as nothing_left,
)
from tests.acceptance.test_step_agent import (
    test_a_thread_goes_on_over_several_runs as agents_thread,
)
from tests.acceptance.test_threads import (
    test_a_thread_that_is_longer_than_a_token_budget_is_not_sent_whole as long_thread,
)
from tests.engine import Engine

pytestmark = [pytest.mark.nats, pytest.mark.proof]


def _no(*_: Any) -> bool:
    return False


async def _never(*_: Any) -> bool:
    return False


async def _always(*_: Any) -> bool:
    return True


async def _nothing(*_: Any) -> int:
    return 0


def _free(*_: Any) -> int:
    return 0


async def _no_more(*_: Any, **__: Any) -> AsyncGenerator[Any]:
    nothing: list[Any] = []
    for message in nothing:
        yield message


def _always_fails(value: Any, question: str) -> Decided:
    del value
    return Decided("fail", question=question)


def _silence_is_a_value(value: Any, question: str) -> Decided:
    return Decided("skip", value, question)


_in_thread = WorkflowStep._in_thread  # pyright: ignore[reportPrivateUsage]


def _in_no_thread(step: WorkflowStep, key: str, thread: str, *more: Any) -> Any:
    del thread
    return _in_thread(step, key, "", *more)


@pytest.mark.parametrize(
    ("owner", "name", "fault", "promise"),
    [
        (failing, "_read", _always_fails, ended_with_a_value),
        (failing, "_read", _silence_is_a_value, silence),
        (purging.Purge, "_fence", _always, taken_up_again),
        (purging.Purge, "_parent_needs", _never, needed_child),
        (Blobs, "purge", _nothing, nothing_left),
        (WorkflowStep, "_in_thread", _in_no_thread, agents_thread),
        (history, "_length", _free, long_thread),
        (showing, "up_to", _no_more, lagging_copy),
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


async def test_a_late_end_is_seen_to_end_a_child(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(clashes._CLASHES, Cancelled, _no)  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(AssertionError):
        await late_end(engine, monkeypatch)


def test_every_seeded_fault_finds_what_it_is_to_break() -> None:
    """A fault whose target was moved would pass for one that nobody catches."""
    program = "from tests.chaos.mutants import MUTANTS\n[each.apply() for each in MUTANTS.values()]"
    subprocess.run([sys.executable, "-c", program], check=True)  # noqa: S603
