"""What is promised of a backup and a standby: each has a fault here that its test catches."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from layby.bus import mirroring, ownership, topology
from layby.bus.errors import BusError, LaybyError
from layby.bus.names import Names
from layby.bus.requests import Requests
from layby.bus.server import EmbeddedServer
from layby.operations import (
    backing_up,
    backup_folder,
    rearming,
    restore_plan,
    restoring,
    sequences,
    standby,
)
from layby.operations import room as room_of
from layby.operations.backup_folder import BackupFolder
from layby.worker.command_actor import CommandActor
from layby.worker.missing_timers import MissingTimers
from tests.acceptance import (
    test_backup,
    test_backup_moments,
    test_commands_over,
    test_missing_timers,
    test_restore,
    test_standby_commands,
    test_standby_refusals,
    test_standby_sequences,
)
from tests.security import test_standby as test_trail

# A test that fails midway leaves connections that nobody has closed.
pytestmark = [pytest.mark.nats, pytest.mark.proof, pytest.mark.filterwarnings("ignore")]

Order = Callable[[Names], Callable[[str], Any]]
NOTICED = (AssertionError, pytest.fail.Exception, OSError, KeyError, LaybyError)
MODULES = (
    test_trail,
    test_backup,
    test_backup_moments,
    test_commands_over,
    test_missing_timers,
    test_restore,
    test_standby_commands,
    test_standby_refusals,
    test_standby_sequences,
)
_SOON = 4.0
"""Seconds that a test waits here for what the fault keeps away."""
_order: Order = backing_up.order
_promoted = mirroring.promoted


def by_name(_: Names) -> Callable[[str], Any]:
    """The order in which the nats CLI saves streams."""
    return lambda stream: stream


def moved(to: float, *streams: str) -> Order:
    """The right order, but with these streams at another place."""

    def order(names: Names) -> Callable[[str], Any]:
        place = _order(names)
        return lambda stream: (to, stream) if stream in streams else place(stream)

    return order


class Fault(NamedTuple):
    """A fault, where it is, and the test that has to notice it."""

    name: str
    owner: Any
    attribute: str
    fault: Any
    promise: Any
    given: Mapping[str, Any] = MappingProxyType({})
    """What else the test is given."""


async def nothing(*_: Any, **__: Any) -> int:
    """Do nothing, and say so."""
    return 0


async def no(*_: Any, **__: Any) -> bool:
    return False


async def yes(*_: Any, **__: Any) -> bool:
    return True


async def first(*_: Any) -> int:
    return 1


async def none_left(requests: Requests) -> int:
    info = await requests.api("STREAM.INFO.AUDIT")
    return int(info["state"]["last_seq"]) + 1


async def ignored(_: Any, __: Any, delivery: Any) -> None:
    await delivery.ack()


def always(*_: Any, **__: Any) -> bool:
    return True


def never(*_: Any, **__: Any) -> bool:
    return False


def unmarked(config: dict[str, Any], *_: Any) -> dict[str, Any]:
    return config


def no_times(*_: Any) -> dict[str, str]:
    return {}


async def as_they_are(_: Any, made: Any, __: Any) -> Any:
    return list(made)


def unchecked(*_: Any) -> None:
    """Check nothing."""


async def unasked(*_: Any) -> None:
    """Check nothing."""


def promoted_at_once(config: dict[str, Any]) -> dict[str, Any]:
    return ownership.restored(_promoted(config))


fits = test_backup_moments.test_what_is_restored_fits_together_before_any_worker_starts
again = test_backup_moments.test_what_was_stored_before_and_handled_meanwhile_is_handled_again
lacks = test_backup_moments.test_a_stream_that_lacks_messages_does_not_count_as_restored
whole = test_backup.test_only_a_complete_and_unchanged_backup_is_restored
refused = test_restore.test_neither_what_streams_hold_nor_those_who_work_there_are_overlooked
at_once = test_restore.test_a_restore_interrupted_at_its_first_stream_lets_no_worker_start
full = test_backup.test_a_full_disk_is_reported
late = test_restore.test_the_work_of_a_workflow_added_during_the_backup_is_done_again
room = test_restore.test_without_room_nothing_is_removed
broken = test_restore.test_streams_that_a_failed_restore_has_not_reached_are_unchanged
tried = test_restore.test_a_stream_is_restored_after_a_try_that_failed
theirs = test_restore.test_a_stream_of_somebody_else_is_not_removed_for_one_of_the_backup
timers = test_missing_timers.test_all_timers_that_a_backup_lacks_are_there_before_they_are_due
over = test_missing_timers.test_no_timer_is_sought_for_runs_that_have_ended
once = test_commands_over.test_a_refused_command_is_not_carried_out_when_it_is_delivered_again
lives = test_standby_refusals.test_a_refusal_shows_that_the_first_cluster_is_up
removed = test_standby_refusals.test_events_of_runs_that_are_gone_start_nothing
apart = test_standby_refusals.test_takeover_and_restore_do_not_continue_each_other
asks = test_standby_refusals.test_an_interrupted_takeover_still_asks_the_first_cluster
named = test_standby_refusals.test_all_apps_are_named_or_said_to_be_gone
lost = test_standby_sequences.test_the_sequences_of_lost_messages_are_not_given_out_again
trail = test_trail.test_the_trail_is_taken_over_first_and_everything_goes_on
commands = test_standby_commands.test_a_takeover_begins_with_the_first_command_that_has_no_outcome
left_empty: dict[str, Any] = {"fault": BusError("no responders"), "leaves": True, "times": 1}
_Restore = restoring._Restore

FAULTS = [
    Fault("streams_saved_by_name", backing_up, "order", by_name, fits),
    Fault("outcomes_saved_last", backing_up, "order", moved(999, "AUDIT"), fits),
    Fault("logs_saved_last", backing_up, "order", moved(999, "RUNS"), fits),
    Fault("answers_saved_first", backing_up, "order", moved(-1, "ANSWERS"), fits),
    Fault("events_saved_first", backing_up, "order", moved(-1, "EVENTS"), fits),
    Fault("big_values_saved_first", backing_up, "order", moved(-1, "BLOBS"), fits),
    Fault("lists_saved_after_logs", backing_up, "order", moved(999, "KV_questions"), fits),
    Fault("rows_saved_after_logs", backing_up, "order", moved(999, "KV_runs"), fits),
    Fault("questions_saved_after_records", backing_up, "order", moved(99, "QUESTIONS"), fits),
    Fault("consumers_stay_where_they_were", restoring, "take_back", no, again),
    Fault("new_consumers_stay_where_they_were", restoring, "begin_again", nothing, late),
    Fault("less_than_saved_is_taken_for_all", _Restore, "_check", unasked, lacks),
    Fault("broken_restore_lets_workers_in", topology, "check_ready", unchecked, lacks),
    Fault("streams_are_made_without_a_mark", restoring, "being_restored", unmarked, lacks),
    Fault("streams_to_go_have_no_mark", restoring, "_keep_workers_away", unasked, at_once),
    Fault("damaged_file_is_restored", BackupFolder, "check", unchecked, whole),
    Fault("any_name_is_a_folder", backup_folder, "_plain", str, whole),
    Fault("full_disk_is_not_said", backing_up, "room_in", nullcontext, full),
    Fault("replaced_untold", restore_plan, "_is_only_restored", always, refused),
    Fault("replaced_under_workers", restore_plan, "_check", unasked, refused),
    Fault("room_not_checked", restoring, "fitted", as_they_are, room, {"whose": "account"}),
    Fault(
        "room_of_server_not_checked", room_of, "_check_server", unasked, room, {"whose": "server"}
    ),
    Fault("restore_begins_anew", restore_plan, "_is_done", never, broken),
    Fault("failed_try_is_believed", _Restore, "_is_there", yes, tried, left_empty),
    Fault("stream_of_somebody_is_removed", restoring, "is_being_restored", always, theirs),
    Fault("timers_not_armed", restoring, "look_after_timers", nothing, timers),
    Fault("timers_not_armed_by_workers", MissingTimers, "arm", ignored, timers),
    Fault("timers_sought_for_ended_runs", rearming, "_read_row", unchecked, over),
    Fault("command_carried_out_twice", CommandActor, "_is_over", no, once),
    Fault("all_commands_delivered_again", standby, "_first_command", first, commands),
    Fault("command_without_outcome_left_out", standby, "_first_command", none_left, commands),
    Fault("taken_over_while_the_first_lives", standby, "_answers", no, lives),
    Fault("second_takeover_does_not_ask", standby, "taken_over_from", unchecked, asks),
    Fault("taken_over_without_a_mark", standby, "promoted", promoted_at_once, apart),
    Fault("finished_runs_start_again", standby, "_first_events", no_times, removed),
    Fault("app_left_out", standby, "_check_named", unasked, named),
    Fault("sequences_given_out_again", standby, "leave_out_lost", nothing, lost),
    Fault("sequences_in_logs_not_counted", sequences, "_note_highest", unasked, lost),
    Fault("no_sequences_to_spare", sequences, "_MORE", 0, lost),
    Fault("trail_left_behind", standby, "_check_trail", unasked, trail),
]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in MODULES:
        monkeypatch.setattr(module, "WITHIN", _SOON, raising=False)
    monkeypatch.setattr(standby, "_SILENCE", 1.0)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_test_notices(
    fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"tmp_path": tmp_path, "monkeypatch": monkeypatch, **fault.given}
    takes = inspect.signature(fault.promise).parameters.keys()
    monkeypatch.setattr(fault.owner, fault.attribute, fault.fault)
    async with AsyncExitStack() as stack:
        if "own_server" in takes:
            server = EmbeddedServer(tmp_path / "nats")
            given["own_server"] = await stack.enter_async_context(server)
        with pytest.raises(NOTICED):
            await fault.promise(**{name: given[name] for name in takes})
