"""The settings of the benchmark: a slow disk, three servers, and what is aimed at with them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from benchmarks import disk, reach
from benchmarks.caller import Caller
from benchmarks.measure import Figure
from benchmarks.server import ALWAYS, DEFAULT, setting
from layby.bus.group_commit import SETTING
from layby.bus.requests import PubAck, Requests


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(disk.DELAY, "0")
    monkeypatch.setenv(disk.SERVER, "")
    monkeypatch.setenv(disk.GROUPS, "")


def test_without_a_delay_a_command_is_run_as_it_is() -> None:
    assert disk.held_up("server", "-c", "file") == ("server", "-c", "file")


def test_a_delay_holds_up_both_calls_that_wait_for_the_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(disk.DELAY, "2000")
    words = disk.held_up("server", "-c", "file")
    assert words[-3:] == ("server", "-c", "file")
    assert "inject=fsync,fdatasync:delay_exit=2000" in words
    assert "trace=fsync,fdatasync" in words


def test_the_servers_of_the_run_are_started_by_a_script_that_passes_their_arguments(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    strace = tmp_path / "strace"
    strace.write_text('#!/bin/sh\nfor word; do last=$word; done\necho "$last"\n')
    strace.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    disk.hold_up(2_000, "/opt/nats server", tmp_path)
    script = os.environ[disk.SERVER]
    assert "'/opt/nats server'" in Path(script).read_text()
    done = subprocess.run(  # noqa: S603
        [script, "-c", "a file"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "a file\n"
    assert disk.delay() == 2_000
    assert os.environ[SETTING] == "1"


def test_a_delay_without_strace_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def not_there(_: str) -> None: ...

    monkeypatch.setattr(shutil, "which", not_there)
    with pytest.raises(RuntimeError, match=r"--fsync-delay needs strace .*apt-get install strace"):
        disk.hold_up(2_000, "nats-server", tmp_path)
    assert disk.delay() == 0


def test_three_servers_have_tables_of_their_own() -> None:
    assert setting(ALWAYS, 1) == "always"
    assert setting(ALWAYS, 3) == "always, 3 servers"
    assert setting(DEFAULT, 3) == "default, 3 servers"


def aims(ours: float, restate: float) -> dict[str, bool]:
    found = [
        Figure("ticket", "overall", ours, "runs/s", sync=ALWAYS),
        Figure("ticket", "overall", restate, "runs/s", "restate"),
    ]
    return {line.aim: line.held for line in reach.reached(found)}


def test_a_slow_disk_has_an_aim_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert aims(250, 100) == {"ticket: at least 3x Restate's runs/s, sync always": False}
    monkeypatch.setenv(disk.DELAY, "2000")
    slow = "ticket: at least 2x Restate's runs/s, sync always, each fsync 2 ms longer"
    assert aims(250, 100) == {slow: True}
    assert aims(199, 100) == {slow: False}


class Answers:
    """Takes what the caller stores."""

    names = None

    def __init__(self) -> None:
        self.stored: list[str] = []

    async def store(self, subject: str, *_: Any, **__: Any) -> PubAck:
        self.stored.append(subject)
        return PubAck()


class Told:
    def __init__(self, **receipt: str) -> None:
        self.data = msgspec.json.encode(receipt)


@pytest.mark.parametrize(
    ("outcome", "answers"), [("unknown_ticket", 1), ("accepted", 0), ("already_answered", 0)]
)
async def test_an_answer_from_before_its_question_was_stored_is_given_again(
    outcome: str, answers: int
) -> None:
    taken = Answers()
    caller = Caller(cast("Requests", taken))
    await caller.see_receipt(Told(outcome=outcome, ticket="T1"))
    assert taken.stored == ["developer.response.T1"] * answers
