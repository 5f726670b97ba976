"""How a worker shares its concurrency among mailboxes, and what it gives up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from layby import Agent, App
from layby.bus.dead import DeadLetters
from layby.bus.layout import streams
from layby.bus.log import Log
from layby.bus.log_subject import shares
from layby.bus.mailbox import Delivery, Mailbox
from layby.bus.specs import ConsumerSpec, StreamSpec, Topology
from layby.bus.topology import Provisioner
from layby.runtime.worker import Subscription
from layby.worker.assembly import assemble
from tests.engine import Engine, app_of, desk, until
from tests.fix_bus import Bus

pytestmark = pytest.mark.nats

COUNT = 4
RUNS = ["0run", "4run", "8run", "crun"]


async def nothing(event: dict[str, Any]) -> None:
    """Stand for a workflow."""


def everything() -> App:
    """An app with a mailbox of every kind."""
    app = desk(Agent("writer"), roles=["legal"], events=["desk.paid"])
    app.workflow(on="desk.reopened", key="ticket", cancel_on="desk.closed")(nothing)
    return app


def logs() -> tuple[StreamSpec, ...]:
    return tuple(spec for spec in streams([], [], COUNT) if spec.name in shares(COUNT))


def boxes() -> tuple[ConsumerSpec, ...]:
    return tuple(
        ConsumerSpec(stream=name, name="box", filter="to.*.actor.>") for name in shares(COUNT)
    )


@pytest.mark.parametrize("at_once", [1, 2, 3, 4, 9, 64])
async def test_an_actor_handles_no_more_at_once_than_it_may(engine: Engine, at_once: int) -> None:
    """Its mailboxes share what it may handle, and each takes a part."""
    await Provisioner(engine.wire).ensure(Topology(streams=logs(), consumers=boxes()))
    log = Log(engine.wire)
    runs = [f"{run}{number}" for run in RUNS for number in range(40)]
    await asyncio.gather(*(log.append(run, 1, "actor", b"") for run in runs))
    busy, peak, done = 0, 0, set[str]()
    go_on = asyncio.Event()

    async def handle(delivery: Delivery) -> None:
        nonlocal busy, peak
        busy += 1
        peak = max(peak, busy)
        await go_on.wait()
        busy -= 1
        done.add(delivery.subject)
        await delivery.ack()

    worker = assemble(app_of(nothing, log_streams=COUNT), engine.connection, engine.wire)
    post = Subscription(consumers=boxes(), handle=handle, concurrency=at_once)
    worker._mailboxes = worker._boxes(post)
    await worker.start()
    held = max(1, at_once // COUNT) * COUNT

    async def all_held() -> bool:
        found = [await engine.wire.api(f"CONSUMER.INFO.{name}.box") for name in shares(COUNT)]
        return sum(int(info["num_ack_pending"]) for info in found) == held

    async def all_done() -> bool:
        return len(done) == len(runs)

    await until(all_held)
    assert busy == min(held, at_once)
    go_on.set()
    await until(all_done)
    await worker.drain(5)
    assert peak <= at_once


async def test_letters_of_two_streams_with_one_number_are_both_kept(bus: Bus) -> None:
    dead_stream = [spec for spec in streams([], []) if spec.name == "DEAD"]
    await Provisioner(bus.requests).ensure(
        Topology(streams=(*logs(), *dead_stream), consumers=boxes())
    )
    dead, log = DeadLetters(bus.requests), Log(bus.requests)
    for run in RUNS:
        await log.append(run, 1, "actor", run.encode())

    async def give_up(delivery: Delivery) -> None:
        assert delivery.seq == 1
        await dead.put(delivery, "box", "because")
        await delivery.term()

    mailboxes = [Mailbox(bus.connection.nc, name, "box", give_up) for name in shares(COUNT)]
    for mailbox in mailboxes:
        await mailbox.start()

    async def all_there() -> bool:
        return len(await dead.list()) == len(RUNS)

    await until(all_there)
    await asyncio.gather(*(mailbox.drain(1) for mailbox in mailboxes))
    assert {(letter.stream, letter.body) for _, letter in await dead.list()} == {
        ("RUNS", "0run"),
        ("RUNS_4", "4run"),
        ("RUNS_8", "8run"),
        ("RUNS_c", "crun"),
    }


async def test_a_worker_believes_the_ack_wait_of_each_mailbox_that_the_server_keeps(
    engine: Engine,
) -> None:
    app = everything()
    await Provisioner(engine.wire).ensure(app.topology())
    worker = assemble(app, engine.connection, engine.wire)

    believed = {box._subject.split(".", 5)[5]: box.ack_wait for box in worker._mailboxes}
    kept: dict[str, float] = {}
    for spec in app.topology().consumers:
        if spec.lookahead:  # it acknowledges nothing, and is no mailbox
            continue
        info = await engine.wire.api(f"CONSUMER.INFO.{spec.stream}.{spec.name}")
        if "ack_wait" in info["config"]:  # what only looks ahead acknowledges nothing
            kept[f"{spec.stream}.{spec.name}"] = info["config"]["ack_wait"] / 1e9

    assert believed == kept
    assert believed["RUNS.human-legal"] == 10
    assert believed["RUNS.workflow-nothing"] == 15
