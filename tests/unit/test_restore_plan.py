"""Whether a stream on the server is already what a interrupted restore has put there."""

from __future__ import annotations

from typing import Any

import pytest

from layby.bus.ownership import being_restored, restored, to_be_replaced
from layby.operations.backup_folder import Part
from layby.operations.restore_plan import _is_being_released, _is_done, _is_only_restored

BACKUP = "0123456789abcdef"
PLAIN: dict[str, Any] = {"name": "RUNS", "num_replicas": 1, "metadata": {"layby": "1"}}
OURS = being_restored(PLAIN, BACKUP)
PART = Part(stream="RUNS", messages=5, last_seq=9, size=1, digest="")


def there(config: dict[str, Any] = OURS, *, messages: int = 5, last: int = 9) -> dict[str, Any]:
    return {"config": config, "state": {"messages": messages, "last_seq": last}}


def done(info: dict[str, Any], *, part: Part = PART, **config: Any) -> bool:
    return _is_done(info, part, {"num_replicas": 1, **config}, BACKUP, "TIMERS")


def test_a_stream_of_this_backup_that_is_whole_is_done() -> None:
    assert done(there())


@pytest.mark.parametrize(
    "info",
    [
        there(being_restored(PLAIN, "f" * 16)),
        there(PLAIN),
        there(to_be_replaced(PLAIN)),
        there(last=8),
        there(last=10),
        there(messages=4),
    ],
)
def test_a_stream_that_is_not_whole_or_holds_something_else_is_not(info: dict[str, Any]) -> None:
    assert not done(info)


def test_a_stream_with_another_number_of_copies_is_made_again() -> None:
    assert not done(there(), num_replicas=3)


@pytest.mark.parametrize("messages", [0, 4, 5])
def test_a_stream_whose_messages_expire_may_have_fewer(messages: int) -> None:
    assert done(there({**OURS, "max_age": 1}, messages=messages))
    timers = Part(stream="TIMERS", messages=5, last_seq=9, size=1, digest="")
    assert done(there(messages=messages), part=timers)


def test_only_the_server_itself_may_add_and_only_to_the_timers() -> None:
    timers = Part(stream="TIMERS", messages=5, last_seq=9, size=1, digest="")
    assert _is_only_restored(there(last=12), timers, "TIMERS")
    assert not _is_only_restored(there(last=12), PART, "TIMERS")
    assert _is_only_restored(there(last=9), PART, "TIMERS")
    assert not _is_only_restored(there(restored(OURS)), PART, "TIMERS")


@pytest.mark.parametrize(
    ("configs", "released"),
    [
        ([OURS, restored(OURS)], True),
        ([OURS, OURS], False),
        ([PLAIN, PLAIN], False),
        ([being_restored(PLAIN, "f" * 16), PLAIN], False),
        ([OURS, being_restored(PLAIN, "f" * 16), PLAIN], False),
    ],
)
def test_a_restore_is_nearly_over_when_the_first_marks_are_gone(
    configs: list[dict[str, Any]], *, released: bool
) -> None:
    found = {str(n): there(config) for n, config in enumerate(configs)}
    assert _is_being_released(found, BACKUP) == released
