from __future__ import annotations

import asyncio
from typing import Any

import pytest

from layby import App
from layby.bus.errors import TopologyMismatch
from layby.bus.topology import ConsumerSpec, Provisioner, StreamSpec, Topology, streams
from layby.run import provision
from tests.engine import Engine, app_of
from tests.fix_bus import Bus, bus_at

pytestmark = pytest.mark.nats


async def nothing(event: dict[str, Any]) -> str:
    return str(event["ticket"])


def of(*specs: StreamSpec | ConsumerSpec) -> Topology:
    return Topology(
        streams=tuple(s for s in specs if isinstance(s, StreamSpec)),
        consumers=tuple(s for s in specs if isinstance(s, ConsumerSpec)),
    )


def stream(name: str, *subjects: str, **config: Any) -> StreamSpec:
    return StreamSpec(name=name, subjects=subjects, config={"allow_direct": True, **config})


async def test_everything_is_made_and_found_the_next_time(bus: Bus) -> None:
    topology = app_of(nothing).topology()
    provisioner = Provisioner(bus.requests)
    changes = await provisioner.ensure(topology)
    assert "created stream RUNS" in changes
    assert "created consumer on-handle on EVENTS" in changes
    assert len(changes) == len(topology.streams) + len(topology.consumers)
    assert await provisioner.ensure(topology) == []


async def test_findings_say_what_was_made_and_then_that_all_is_there(engine: Engine) -> None:
    app = app_of(nothing)
    first = await provision(app, engine.settings)
    again = await provision(app, engine.settings)
    assert any("created stream RUNS" in finding.message for finding in first)
    assert [finding.message for finding in again] == ["everything is there already"]


async def test_what_it_makes_is_as_the_server_would_make_it(bus: Bus) -> None:
    """Nothing it asks for is bent: the server strictly refuses what it does not know."""
    await Provisioner(bus.requests).ensure(app_of(nothing).topology())
    for spec in app_of(nothing).topology().streams:
        config = (await bus.requests.api(f"STREAM.INFO.{spec.name}"))["config"]
        for key, value in spec.config.items():
            assert config[key] == value, (spec.name, key)
        assert config["storage"] == "file"


async def test_many_workers_may_start_at_once(clean_nats: str) -> None:
    topology = app_of(nothing).topology()

    async def start() -> list[str]:
        async with bus_at(clean_nats) as bus:
            return await Provisioner(bus.requests).ensure(topology)

    for found in await asyncio.gather(*(start() for _ in range(8)), return_exceptions=True):
        assert isinstance(found, list), found


async def test_an_app_with_more_triggers_extends_the_stream(bus: Bus) -> None:
    provisioner = Provisioner(bus.requests)
    await provisioner.ensure(app_of(nothing, on="one.opened").topology())
    app = App("another", roles=["legal"])
    app.workflow(on="two.opened", key="ticket", name="two")(nothing)
    changes = await provisioner.ensure(app.topology())
    assert "added two.opened to stream EVENTS" in changes
    info = await bus.requests.api("STREAM.INFO.EVENTS")
    assert {"one.opened", "two.opened"} <= set(info["config"]["subjects"])
    answers = await bus.requests.api("STREAM.INFO.ANSWERS")
    assert answers["config"]["subjects"] == ["developer.response.>", "legal.response.>"]


async def test_extending_keeps_what_the_owner_has_set(bus: Bus) -> None:
    provisioner = Provisioner(bus.requests)
    await provisioner.ensure(of(stream("S", "a")))
    info = await bus.requests.api("STREAM.INFO.S")
    await bus.requests.api("STREAM.UPDATE.S", {**info["config"], "max_bytes": 12_345})
    await provisioner.ensure(of(stream("S", "a", "b")))
    info = await bus.requests.api("STREAM.INFO.S")
    assert info["config"]["max_bytes"] == 12_345
    assert info["config"]["subjects"] == ["a", "b"]


async def test_a_new_workflow_on_an_old_stream_begins_with_what_is_new(bus: Bus) -> None:
    provisioner = Provisioner(bus.requests)
    app = App("desk")
    app.workflow(on="desk.opened", key="ticket", name="old")(nothing)
    await provisioner.ensure(app.topology())
    await bus.requests.store("desk.opened", b"long ago")
    app.workflow(on="desk.opened", key="ticket", name="new")(nothing)
    await provisioner.ensure(app.topology())
    pending = [(await bus.about("EVENTS", f"on-{n}"))["num_pending"] for n in ("old", "new")]
    assert pending == [1, 0]


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"retention": "interest"}, "retention"),
        ({"allow_rollup_hdrs": True}, "allow_rollup_hdrs"),
        ({"discard": "new"}, "discard"),
    ],
)
async def test_a_stream_of_somebody_else_is_refused(
    bus: Bus, config: dict[str, Any], key: str
) -> None:
    await bus.stream("S", "a", **config)
    with pytest.raises(TopologyMismatch, match=f"stream S has {key} = .*Layby needs"):
        await Provisioner(bus.requests).ensure(of(stream("S", "a")))


async def test_a_stream_that_cannot_be_read_directly_is_refused_with_the_remedy(bus: Bus) -> None:
    await bus.stream("S", "a", allow_direct=False)
    with pytest.raises(TopologyMismatch, match="nats stream edit S --allow-direct"):
        await Provisioner(bus.requests).ensure(of(stream("S", "a")))


async def test_a_subject_that_another_stream_has_is_told(bus: Bus) -> None:
    await bus.stream("THEIRS", "desk.>")
    wanted = of(*streams(["desk.opened"], ["developer"]))
    with pytest.raises(TopologyMismatch, match=r"stream EVENTS cannot be created.*another stream"):
        await Provisioner(bus.requests).ensure(wanted)


async def test_a_consumer_that_reads_something_else_is_refused(bus: Bus) -> None:
    one = ConsumerSpec(stream="S", name="box", filter="a")
    provisioner = Provisioner(bus.requests)
    await provisioner.ensure(of(stream("S", "a", "b"), one))
    two = ConsumerSpec(stream="S", name="box", filter="b")
    with pytest.raises(TopologyMismatch, match="'box' of stream S reads 'a', not 'b'"):
        await provisioner.ensure(of(stream("S", "a", "b"), two))


async def test_copies_are_made_as_asked(bus: Bus) -> None:
    with pytest.raises(TopologyMismatch, match="replicas > 1 not supported"):
        await Provisioner(bus.requests, replicas=3).ensure(of(stream("S", "a")))


async def test_nothing_can_be_removed_from_the_answers(bus: Bus) -> None:
    """Anybody may publish there; nobody can take back what somebody has said."""
    await Provisioner(bus.requests).ensure(app_of(nothing).topology())
    ack = await bus.requests.store("developer.response.T1", b"yes")
    for verb, body in (("MSG.DELETE", {"seq": ack.seq}), ("PURGE", {})):
        with pytest.raises(Exception, match=r"not permitted|denied|sealed"):
            await bus.requests.api(f"STREAM.{verb}.ANSWERS", body)
    for headers in (
        {"Nats-Rollup": "sub"},
        {"Nats-TTL": "1s"},
        {"Nats-Schedule": "@at 2030-01-01T00:00:00Z", "Nats-Schedule-Target": "x"},
    ):
        with pytest.raises(Exception, match=r"rollup|ttl|TTL|schedul"):
            await bus.requests.store("developer.response.T1", b"no", headers)
    info = await bus.requests.api("STREAM.INFO.ANSWERS")
    assert info["state"]["messages"] == 1
