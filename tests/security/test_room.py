"""A store that somebody fills: they fill what is theirs, and runs go on and end."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import structlog

from layby import Step
from layby.bus.errors import StoreFull
from layby.bus.requests import Requests
from layby.bus.server import EmbeddedServer
from layby.operations.provisioning import provision
from layby.views.rows import Finding
from tests.engine import Engine, app_of, until
from tests.security.house import EVENT, House, desk

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

_BIG = "x" * 100_000
_SMALL = 256 * 1024


async def bound(house: House, stream: str, size: int) -> None:
    """Give a stream another byte limit, as its operator may."""
    async with house.client("provisioner") as client:
        requests = client._requests
        config = (await requests.api(f"STREAM.INFO.{stream}"))["config"]
        await requests.api(f"STREAM.UPDATE.{stream}", {**config, "max_bytes": size})


async def findings(house: House, subject: str) -> list[Finding]:
    async with house.client("observer") as observer:
        return [each for each in await observer.doctor() if each.subject == subject]


async def fill(requests: Requests, subject: str, body: bytes) -> int:
    """Store until the server refuses, less and less at a time; how much it took."""
    taken = 0
    while body:
        with contextlib.suppress(StoreFull):
            for count in range(10_000):
                await requests.store(subject.format(f"{len(body)}-{count}"), body)
                taken += len(body)
        body = body[: len(body) // 10]
    return taken


async def test_what_outsiders_fill_has_a_limit_from_the_start(house: House) -> None:
    await provision(desk(), house.settings("provisioner"))
    async with house.client("provisioner") as client:
        for name in ("EVENTS", "ANSWERS"):
            config = (await client._requests.api(f"STREAM.INFO.{name}"))["config"]
            assert config["max_bytes"] > 0
            assert config["discard"] == "new", "what nobody has read is never dropped"
        for name in ("RUNS", "TIMERS", "KV_parked", "BLOBS"):
            config = (await client._requests.api(f"STREAM.INFO.{name}"))["config"]
            assert config["max_bytes"] <= 0, "room for runs ends with the store"


async def test_a_flood_of_answers_stops_no_run_and_responders_learn_of_it(house: House) -> None:
    async with house.working():
        first = await house.question("T1")
        await bound(house, "ANSWERS", _SMALL)
        async with house.client("bob") as bob:
            assert await fill(bob._requests, "developer.response.F{}.bob", b"x" * 60_000) < _SMALL
        async with house.client("ada") as ada:
            with pytest.raises(StoreFull, match="maximum bytes"):
                await ada.answer("T1", "yes", responder="ada")
        assert await house.question("T2") != first, "events still start runs that ask"
        [finding] = await findings(house, "ANSWERS")
        assert finding.level == "error"
        assert "bob" in finding.advice
        await bound(house, "ANSWERS", 100 * _SMALL)
        async with house.client("ada") as ada:
            receipt = await ada.answer("T1", "yes", responder="ada", timeout=20)
        assert receipt.outcome == "accepted"
        assert (await house.ended(first)).status == "completed"


async def test_a_flood_of_events_stops_no_run(house: House) -> None:
    async with house.working():
        run = await house.question("T1")
        await bound(house, "EVENTS", _SMALL)
        async with house.client("helpdesk") as helpdesk:
            assert await fill(helpdesk._requests, EVENT, b"x" * 60_000) < _SMALL
        async with house.client("ada") as ada:
            receipt = await ada.answer("T1", "yes", responder="ada", timeout=20)
        assert receipt.outcome == "accepted"
        assert (await house.ended(run)).status == "completed"
        [finding] = await findings(house, "EVENTS")
        assert finding.level == "error"
        assert EVENT in finding.advice


async def test_limits_are_given_to_streams_of_an_earlier_release(house: House) -> None:
    await provision(desk(), house.settings("provisioner"))
    async with house.client("provisioner") as client:
        requests = client._requests
        found = (await requests.api("STREAM.INFO.EVENTS"))["config"]
        old = {**found, "max_bytes": -1, "discard": "old"}
        await requests.api("STREAM.UPDATE.EVENTS", old)
        [finding] = await findings(house, "limits")
        assert "EVENTS" in finding.message
        await provision(desk(), house.settings("provisioner"))
        assert (await requests.api("STREAM.INFO.EVENTS"))["config"]["max_bytes"] == -1
        told = await provision(desk(), house.settings("provisioner"), limits=True)
        assert "EVENTS" in told[0].message
        assert (await requests.api("STREAM.INFO.EVENTS"))["config"] == found
        assert await findings(house, "limits") == []


async def big(event: dict[str, Any], step: Step) -> str:
    value = await step.run("big", lambda: event["ticket"] + _BIG)
    await step.ask("developer", "Keep it?", timeout="1h")
    more = await step.run("more", lambda: "more" + value)
    return str(len(more)) + str(event["ticket"])


async def test_a_big_value_that_is_gone_ends_its_run_after_six_tries(engine: Engine) -> None:
    async with engine.works(app_of(big)):
        lost = await engine.start("T1")
        await engine.question(run=lost)
        await engine.wire.api("STREAM.PURGE.BLOBS", {})
        fine = await engine.start("T2")
        await engine.question(run=fine)
    with structlog.testing.capture_logs() as logs:
        async with engine.works(app_of(big)):  # nothing of it is in memory
            await engine.answer("T1")
            await engine.answer("T2")
            assert await engine.result(fine) == "100006T2"
            state = await engine.ended(lost)
            assert state.status == "failed"
            assert "big value" in state.error
            assert "backup" in state.error
    failures = [each for each in logs if each["event"] == "delivery.failed"]
    assert len(failures) == 6
    [letter] = await engine.client.dead()
    assert "big value" in letter.reason


async def test_a_full_store_is_reported_and_waited_for(own_server: EmbeddedServer) -> None:
    await own_server.stop()
    own_server._extra = "accounts { A { jetstream { max_file: 3MB }, users: [ {user: a} ] } }\n"
    own_server._extra += "no_auth_user: a\n"
    await own_server.start()
    async with Engine.at(own_server.url) as engine:
        with structlog.testing.capture_logs() as logs:
            async with engine.works(app_of(big)):
                run = await engine.start("T1")
                await engine.question(run=run)
                with contextlib.suppress(StoreFull):
                    for count in range(1_000):  # what is left is too little for a big value
                        await engine.wire.store(f"blob.x.{count}", b"x" * 50_000)
                await engine.drop("yes", ticket="T1")

                async def said() -> bool:
                    return any(each["event"] == "store.full" for each in logs)

                await until(said)
                told = [f for f in await engine.client.doctor() if f.subject == "store"]
                assert told[0].level == "error", told
                await engine.wire.api("STREAM.PURGE.BLOBS", {"filter": "blob.x.>"})
                assert await engine.result(run) == "100006T1"
        [line] = [each for each in logs if each["event"] == "store.full"]
        assert "layby doctor" in line["advice"]
