"""A worker is killed with a command in hand: another does it, and its effect is there once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from layby.bus.dead import DeadLetter
from layby.client import NotDoneYet
from layby.runtime import crash
from layby.runtime.entry import Cancelled, Reopened
from layby.runtime.envelope import decode
from layby.testing import TestRuntime
from layby.views.rows import AuditRow
from tests.engine import is_handled, until
from tests.examples import proofs_but
from tests.fix_layby import APP, Desk

pytestmark = [pytest.mark.nats, pytest.mark.slow, pytest.mark.timeout(240)]
Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]
TARGET = "tests.testkit_app:app"


async def killed(rt: TestRuntime, point: str, work: Callable[[], Any]) -> AuditRow:
    """Have a worker killed with a command in hand; what came of it once another is up."""
    async with rt.crashing(point):
        with contextlib.suppress(NotDoneYet):  # the worker may die before it can say so
            await work()
    async with rt.worker():

        async def told() -> AuditRow | None:
            [row, *_] = await rt.client.audit()
            return row if row.outcome != "waiting" else None

        row = await until(told)
        await handled(rt)
    assert row is not None
    return row


async def handled(rt: TestRuntime) -> None:
    """Return when every command is acknowledged."""
    await until(lambda: is_handled(rt._requests, "AUDIT.commands"))


async def recorded(rt: TestRuntime, run: str, kind: type[Cancelled | Reopened]) -> int:
    """How often a run's log says so."""
    messages = await rt._log.load(run)
    records = [record for each in messages for record in decode(each.data).records]
    return sum(isinstance(record, kind) for record in records)


@pytest.mark.parametrize("point", proofs_but(1, ["command_taken", "command_done"]))
async def test_a_cancel_is_done_once(layby_running: Running, point: str) -> None:
    async with layby_running(TARGET, workers=0) as rt:
        async with rt.worker():
            run = await rt.send("testkit.silent", {"order": "A1"})
            await rt.question()
        row = await killed(rt, point, lambda: rt.client.cancel(run, "enough", by="ada"))
        assert (row.outcome, row.by, row.result["status"]) == ("done", "ada", "cancelled")
        assert await recorded(rt, run, Cancelled) == 1
        assert (await rt.state(run)).error == "enough"


@pytest.mark.slow
async def test_a_retry_is_done_once_even_if_the_run_fails_again(layby_running: Running) -> None:
    async with layby_running(TARGET, workers=0) as rt:
        async with rt.worker():
            run = await rt.send("testkit.fails", {"order": "A1"})
            await rt.ended()
        row = await killed(rt, "command_done", lambda: rt.client.retry(run, by="ada"))
        assert row.outcome == "done"
        assert await recorded(rt, run, Reopened) == 1
        async with rt.worker():
            await until(lambda: _failed(rt, run))
        assert await recorded(rt, run, Reopened) == 1


async def _failed(rt: TestRuntime, run: str) -> bool:
    return (await rt.state(run)).status == "failed"


@pytest.mark.parametrize("point", proofs_but(1, ["command_done", "after_outcome"]))
async def test_a_dead_letter_is_sent_again_once(layby_running: Running, point: str) -> None:
    async with layby_running(TARGET, workers=0) as rt:
        async with rt.worker():
            pass  # provisions
        event = msgspec.json.encode({"order": "A1"})
        given_up = DeadLetter(
            reason="a bug of the release before",
            subject="testkit.silent",
            mailbox=rt.app.workflows["silent"].consumer,
            stream="EVENTS",
            seq=7,
            at=1.5,
            size=len(event),
            body=event.decode(),
        )
        await rt._requests.store(f"dead.{given_up.mailbox}", msgspec.json.encode(given_up))
        [letter] = await rt.client.dead()
        row = await killed(rt, point, lambda: rt.client.retry_dead(letter.id, by="ada"))
        assert row.outcome == "done"
        state = await rt.state(row.result["run"])
        assert (state.ticket, state.seq) == ("A1", 7)
        begun = await rt._requests.api("STREAM.INFO.RUNS", {"subjects_filter": "to.*.*.*.1"})
        assert len(begun["state"]["subjects"]) == 1
        events = await rt._requests.api("STREAM.INFO.EVENTS")
        assert events["state"]["messages"] == 0
        assert letter.id not in [each.id for each in await rt.client.dead()]


@pytest.mark.slow
async def test_a_purge_and_a_drop_are_done_even_if_they_kill_a_worker(
    layby_running: Running,
) -> None:
    async with layby_running(TARGET, workers=0) as rt:
        async with rt.worker():
            await rt.client.send("testkit.silent", b"no JSON")
            [letter] = await until(rt.client.dead)
            run = await rt.send("testkit.fails", {"order": "A1"})
            await rt.ended()
            await until(lambda: rt.client.runs("failed"))
        row = await killed(rt, "command_done", lambda: rt.client.purge(0, by="ada"))
        assert (row.outcome, row.again, row.result["runs"]) == ("done", True, 0)
        assert await rt._log.load(run) == []
        row = await killed(rt, "command_done", lambda: rt.client.drop_dead(letter.id, by="ada"))
        assert row.outcome == "done"
        assert await rt.client.dead() == []


@pytest.mark.parametrize(
    "point", proofs_but(1, [each for each in crash.POINTS if each.startswith("purge_")])
)
async def test_nothing_is_left_of_a_run_whose_purge_was_cut_short(
    layby_running: Running, point: str
) -> None:
    async with layby_running(TARGET, workers=0) as rt:
        async with rt.worker():
            run = await rt.send("testkit.silent", {"order": "A1"})
            await rt.question()
            await rt.client.cancel(run, by="ada")
            await until(lambda: rt.client.runs("cancelled"))
        row = await killed(rt, point, lambda: rt.client.purge(0, by="ada"))
        assert (row.outcome, row.again) == ("done", True)
        assert await rt.client.runs() == []
        for stream in ("BLOBS", "QUESTIONS", "RUNS", "TIMERS"):
            info = await rt._requests.api(f"STREAM.INFO.{stream}")
            assert info["state"]["messages"] == 0, stream


@pytest.fixture
def desk(tmp_path: Path, clean_nats: str) -> Any:
    (tmp_path / "desk.py").write_text(APP)
    made = Desk(tmp_path, clean_nats)
    yield made
    made.stop_workers()


def test_the_command_line_says_that_it_is_stored_and_then_shows_the_outcome(desk: Desk) -> None:
    desk.json("provision", "desk:app")
    desk.start_worker()
    desk.open_ticket("T1")
    desk.question("T1")
    desk.stop_workers()
    stored = desk.run("cancel", "T1", "--reason", "closed by hand", "--as", "ada")
    assert stored.returncode == 2
    assert "is stored as number 1, and no worker is up" in stored.stderr
    assert "Do not send it again" in stored.stderr
    assert desk.json("cancel", "T1", "--as", "bob", code=2)["error"]["type"] == "NotDoneYet"
    listed = desk.run("audit").stdout
    assert "ada" in listed
    assert "waiting" in listed
    desk.start_worker()
    assert desk.ended("T1")["status"] == "cancelled"
    [bob, ada] = desk.sooner_or_later(
        lambda: (
            all(each["outcome"] != "waiting" for each in desk.json("audit")) and desk.json("audit")
        )
    )
    # One of them; they may be handled side by side.
    assert sorted(each["outcome"] for each in (bob, ada)) == ["done", "refused"]
    done = ada if ada["outcome"] == "done" else bob
    assert (bob["by"], ada["by"]) == ("bob", "ada")
    assert done["by"] in desk.run("show", "T1").stdout
    assert ada["why"] == "closed by hand"
    assert desk.json("audit", "--who", "cy") == []
    assert desk.run("audit", "--run", "nothing").returncode == 1
