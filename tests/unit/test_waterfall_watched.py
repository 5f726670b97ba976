"""The log of a run is read once for everybody who looks, and judged as a worker judges it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from layby.bus.errors import BusError, Erased, KeyMissing, NotConnected
from layby.bus.log import LogMessage
from layby.client import Client, NoSuchRun
from layby.console.waterfall.watched import WatchedRun, WatchedRuns
from layby.runtime.entry import Answered, Record
from layby.runtime.envelope import Envelope, encode
from layby.runtime.role import Role
from layby.runtime.vouching import Signers
from tests.signing_desk import KEYS
from tests.waterfall_log import STARTED, WrittenLog, asked, stepped

WITHIN = 10.0


def messages(*records: Record) -> list[LogMessage]:
    """A log of one record to a message."""
    return [
        LogMessage(n=n, to="log", data=encode(Envelope(op=f"{n}", at=float(n), records=[record])))
        for n, record in enumerate(records, 1)
    ]


class Logs:
    """The logs of a client: what is read at once, and what follows."""

    signers: Signers | None = None

    def __init__(self, stored: list[LogMessage], *, lost: BusError | None = None) -> None:
        self.stored = stored
        self.lost = lost
        """What ends the following of them."""
        self.wrong: BusError | None = None
        """Why none of their entries can be read."""
        self.more = asyncio.Event()
        self.doubted: list[str] = []
        self.purged = False

    def reload_key(self, run: str) -> None:
        self.doubted.append(run)

    async def exists(self, run: str) -> bool:
        del run
        return not self.purged

    async def entries(self, run: str, after: int = 0) -> list[LogMessage]:
        del run
        if self.wrong is not None and self.stored[after:]:
            raise self.wrong
        return self.stored[after:]

    def tail(self, run: str) -> Logs:
        del run
        return self

    async def follow(self) -> AsyncGenerator[LogMessage]:
        for message in self.stored:
            yield message
        await self.more.wait()
        for message in self.stored:
            yield message
        if self.lost is not None:
            raise self.lost


def client_of(logs: Logs) -> Client:
    return cast("Client", SimpleNamespace(logs=logs))


async def test_a_run_without_a_log_does_not_exist() -> None:
    with pytest.raises(NoSuchRun):
        await WatchedRuns().get(client_of(Logs([])), "r1")


async def test_a_log_is_read_on_from_where_it_is_known() -> None:
    logs = Logs(messages(STARTED))
    runs, client = WatchedRuns(), client_of(logs)
    first = await runs.get(client, "r1")
    logs.stored = messages(STARTED, stepped("a"))
    assert await runs.get(client, "r1") is first
    assert [message.n for message in first.messages] == [1, 2]
    assert first.size == sum(len(message.data) for message in logs.stored)


async def test_what_is_known_of_a_run_goes_with_its_log_and_not_with_a_copy_that_lags() -> None:
    logs = Logs(messages(STARTED))
    runs, client = WatchedRuns(), client_of(logs)
    run = await runs.get(client, "r1")
    logs.stored = []
    assert (await runs.get(client, "r1")).messages
    logs.purged = True
    with pytest.raises(NoSuchRun):
        await runs.get(client, "r1")
    assert run.messages == []


async def test_two_people_do_not_share_what_one_may_read() -> None:
    runs = WatchedRuns()
    logs = Logs(messages(STARTED))
    assert await runs.get(client_of(logs), "r1") is not await runs.get(client_of(logs), "r1")


async def test_logs_that_nobody_looks_at_are_forgotten_oldest_first() -> None:
    runs, client = WatchedRuns(most=1), client_of(Logs(messages(STARTED)))
    async with runs.following(client, "r1") as kept:
        passed = await runs.get(client, "r2")
        await runs.get(client, "r3")
        assert await runs.get(client, "r1") is kept
    assert await runs.get(client, "r2") is not passed


@pytest.mark.parametrize("why", [Erased("erased"), KeyMissing("no key")])
async def test_those_who_look_hear_that_a_log_can_no_longer_be_read(why: BusError) -> None:
    logs = Logs(messages(STARTED), lost=why)
    async with WatchedRuns().following(client_of(logs), "r1") as run:
        assert not run.ended
        waiting = asyncio.create_task(run.changed_since(run.version))
        logs.more.set()
        await asyncio.wait_for(waiting, WITHIN)
        assert run.closed is why
        assert run.ended
        assert run.messages == []
        assert run.outline.root is None


async def test_what_is_known_of_a_run_goes_with_its_key() -> None:
    logs = Logs(messages(STARTED, stepped("a", "a secret")))
    runs, client = WatchedRuns(), client_of(logs)
    run = await runs.get(client, "r1")
    logs.wrong = Erased("erased")
    assert logs.doubted == []
    assert await runs.get(client, "r1") is run
    assert logs.doubted == ["r1"]
    assert run.closed is logs.wrong
    assert (run.messages, run.size, run.outline.root) == ([], 0, None)
    logs.wrong = None
    await run.check()
    assert run.closed is None
    assert len(run.messages) == 2


async def test_a_lost_connection_closes_nothing_and_a_check_follows_again() -> None:
    logs = Logs(messages(STARTED), lost=NotConnected("gone"))
    logs.more.set()
    async with WatchedRuns().following(client_of(logs), "r1") as run:
        assert run.following is not None
        await asyncio.wait_for(run.following, WITHIN)
        assert run.closed is None
        logs.lost, logs.more = None, asyncio.Event()
        await run.check()
        logs.stored = messages(STARTED, stepped("a"))
        version = run.version
        logs.more.set()
        await asyncio.wait_for(run.changed_since(version), WITHIN)
        assert len(run.messages) == 2


async def test_nothing_is_followed_when_nobody_looks() -> None:
    client = client_of(Logs(messages(STARTED)))
    runs = WatchedRuns()
    async with runs.following(client, "r1") as run, runs.following(client, "r1"):
        following = run.following
        assert runs.looked_at
    assert not runs.looked_at
    assert following is not None
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(following, WITHIN)
    await run.check()
    assert run.following is None


def test_positions_are_taken_once_and_in_order() -> None:
    run = WatchedRun(cast("Client", None), "r1")
    first, second, third = messages(STARTED, stepped("a"), stepped("b"))
    for message in (first, third, second, second, third):
        run.take(message)
    assert [message.n for message in run.messages] == [1, 2, 3]


def test_a_log_that_a_later_release_wrote_is_said_to_be_newer() -> None:
    run = WatchedRun(cast("Client", None), "r1")
    run.take(messages(STARTED)[0])
    run.take(LogMessage(2, "log", b'{"op":"x","at":1,"records":[{"k":"not-yet-invented"}]}'))
    assert run.state.newer == 2


def answered(**fields: Any) -> Answered:
    return Answered(id="q1", text="yes", by="ada", at=20.0, seq=1, **fields)


def test_an_answer_that_a_worker_refuses_leaves_the_run_waiting() -> None:
    log = WrittenLog(asked(accept=["signature"]), answered())
    assert log.run.state.waits == 1
    assert log.run.state.status == "waiting"
    assert log.node("developer").end is None


def test_a_role_that_signs_is_held_to_its_keys_whatever_the_log_says() -> None:
    signers = Signers([Role("developer", keys=KEYS)])
    log = WrittenLog(asked(), answered(vouched="nats"), signers=signers)
    assert log.run.state.status == "waiting"
    assert log.run.outline.refused
    assert WrittenLog(asked(), answered(vouched="nats")).run.state.status == "running"


async def test_the_keys_that_a_client_knows_are_those_that_count() -> None:
    logs = Logs(messages(STARTED, asked(), answered()))
    logs.signers = Signers([Role("developer", keys=KEYS)])
    run = await WatchedRuns().get(client_of(logs), "r1")
    assert run.state.status == "waiting"
