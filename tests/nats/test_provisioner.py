from __future__ import annotations

import asyncio
from typing import Any

import pytest

from layby import App
from layby.bus.errors import PermissionDenied, TopologyMismatch
from layby.bus.group_commit import SETTING
from layby.bus.layout import streams
from layby.bus.log import Log
from layby.bus.log_subject import COUNTS, NOBODY, shares, stream_of, subject
from layby.bus.requests import Requests
from layby.bus.specs import ConsumerSpec, StreamSpec, Topology
from layby.bus.topology import Provisioner
from layby.operations.provisioning import provision
from tests.engine import Engine, app_of, until
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
    subjects = set(answers["config"]["subjects"])
    assert {"developer.response.>", "legal.response.>"} <= subjects


class Meeting(Requests):
    """Requests of which those that begin with `verb` wait for each other, the first time."""

    def at(self, verb: str, gate: asyncio.Barrier) -> None:
        self._verb, self._gate = verb, gate

    async def api(self, verb: str, body: Any = None, *, timeout: float = 5.0) -> dict[str, Any]:  # noqa: ASYNC109
        if verb == self._verb:
            self._verb = ""
            await self._gate.wait()
        return await super().api(verb, body, timeout=timeout)


async def at_once(url: str, verb: str, *wanted: Topology) -> list[list[str] | BaseException]:
    """Provision these, all of whom have read what is there before one of them does `verb`."""
    gate = asyncio.Barrier(len(wanted))

    async def ensure(topology: Topology) -> list[str]:
        async with bus_at(url) as bus:
            requests = Meeting(bus.connection.nc)
            requests.at(verb, gate)
            await requests.start()
            try:
                return await Provisioner(requests).ensure(topology)
            finally:
                await requests.stop()

    return await asyncio.gather(*(ensure(each) for each in wanted), return_exceptions=True)


async def test_apps_that_extend_a_stream_at_once_all_get_what_they_need(clean_nats: str) -> None:
    async with bus_at(clean_nats) as bus:
        await Provisioner(bus.requests).ensure(of(stream("S", "base")))
        names = [f"app-{number}" for number in range(4)]
        wanted = [
            of(stream("S", name), ConsumerSpec(stream="S", name=name, filter=name))
            for name in names
        ]
        found = await at_once(clean_nats, "STREAM.UPDATE.S", *wanted)
        assert [changes[0] for changes in found if isinstance(changes, list)] == [
            f"added {name} to stream S" for name in names
        ]
        info = await bus.requests.api("STREAM.INFO.S")
        assert set(info["config"]["subjects"]) == {"base", *names}


async def test_what_was_written_over_before_the_end_is_added_again(bus: Bus) -> None:
    """Another app had read the stream before we added ours, and writes after we have looked."""
    provisioner = Provisioner(bus.requests)
    await provisioner.ensure(of(stream("S", "base")))
    before = (await bus.requests.api("STREAM.INFO.S"))["config"]

    class Overtaken(Requests):
        async def api(self, verb: str, body: Any = None, *, timeout: float = 5.0) -> dict[str, Any]:  # noqa: ASYNC109
            if verb.startswith("CONSUMER.CREATE"):
                theirs = {**before, "subjects": ["base", "theirs", "ours.x"]}
                await super().api("STREAM.UPDATE.S", theirs)
            return await super().api(verb, body, timeout=timeout)

    requests = Overtaken(bus.connection.nc)
    await requests.start()
    box = ConsumerSpec(stream="S", name="box", filter="ours.x")
    await Provisioner(requests).ensure(of(stream("S", "ours", "ours.x"), box))
    await requests.stop()
    info = await bus.requests.api("STREAM.INFO.S")
    assert set(info["config"]["subjects"]) == {"base", "theirs", "ours.x", "ours"}


# -- over how many streams the logs are split --------------------------------------------------


def logs_of(count: int) -> Topology:
    return of(*streams([], [], count))


@pytest.mark.parametrize("count", COUNTS)
async def test_logs_are_in_as_many_streams_as_asked(bus: Bus, count: int) -> None:
    await Provisioner(bus.requests).ensure(logs_of(count))
    assert await Provisioner(bus.requests).ensure(logs_of(count)) == []
    assert await Log(bus.requests).streams() == count
    for run in [f"{digit}run" for digit in "0123456789abcdef"]:
        ack = await bus.requests.store(subject(NOBODY, run, 1), b"")
        assert ack.stream == stream_of(run, count)


@pytest.mark.parametrize(("there", "asked"), [(1, 4), (4, 1), (4, 2), (2, 4), (16, 8)])
async def test_another_number_is_refused_and_nothing_changed(
    bus: Bus, there: int, asked: int
) -> None:
    provisioner = Provisioner(bus.requests)
    await provisioner.ensure(logs_of(there))
    held = rf"in {there} streams? here \({', '.join(shares(there))}\).*asks for {asked} stream"
    with pytest.raises(TopologyMismatch, match=rf"{held}.*App\(log_streams={there}\)"):
        await provisioner.ensure(logs_of(asked))
    assert await provisioner.ensure(logs_of(there)) == []


async def test_one_of_two_concurrent_numbers_wins_and_the_other_is_told(clean_nats: str) -> None:
    found = await at_once(clean_nats, "STREAM.CREATE.RUNS", *map(logs_of, (1, 2, 4)))
    refused = [error for error in found if isinstance(error, TopologyMismatch)]
    assert len(refused) == 2, found
    assert all("App(log_streams=" in str(error) for error in refused)
    async with bus_at(clean_nats) as bus:
        count = await Log(bus.requests).streams()
        assert await Provisioner(bus.requests).ensure(logs_of(count)) == []


async def test_a_worker_that_asks_for_another_number_does_not_start(engine: Engine) -> None:
    await provision(app_of(nothing, log_streams=4), engine.settings)
    with pytest.raises(TopologyMismatch, match="in 4 streams here"):
        async with engine.works(app_of(nothing)):
            pass


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


async def test_a_subject_in_another_stream_is_reported(bus: Bus) -> None:
    await bus.stream("THEIRS", "desk.>")
    wanted = of(*streams(["desk.opened"], ["developer"]))
    with pytest.raises(TopologyMismatch, match="already in stream THEIRS"):
        await Provisioner(bus.requests).ensure(wanted)


async def test_a_consumer_that_reads_something_else_is_refused(bus: Bus) -> None:
    one = ConsumerSpec(stream="S", name="box", filter="a")
    provisioner = Provisioner(bus.requests)
    await provisioner.ensure(of(stream("S", "a", "b"), one))
    two = ConsumerSpec(stream="S", name="box", filter="b")
    with pytest.raises(TopologyMismatch, match="'box' of stream S reads 'a', not 'b'"):
        await provisioner.ensure(of(stream("S", "a", "b"), two))


async def test_a_consumer_may_read_several_subjects(bus: Bus) -> None:
    one = ConsumerSpec(stream="S", name="box", filter="a", also=("b.*",))
    wanted, provisioner = of(stream("S", "a", "b.*", "c"), one), Provisioner(bus.requests)
    assert "created consumer box on S" in await provisioner.ensure(wanted)
    assert await provisioner.ensure(wanted) == []
    for each in ("c", "a", "b.1"):
        await bus.requests.store(each, b"")

    async def has_two() -> bool:  # the server counts them a moment later
        return bool((await bus.about("S", "box"))["num_pending"] == 2)

    await until(has_two)
    fewer = ConsumerSpec(stream="S", name="box", filter="a")
    with pytest.raises(TopologyMismatch, match=r"reads 'a, b\.\*', not 'a'"):
        await provisioner.ensure(of(stream("S", "a", "b.*", "c"), fewer))


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


LOGS = stream("RUNS", "to.>", allow_atomic=True)


async def test_a_stream_of_an_earlier_release_learns_to_take_batches(bus: Bus) -> None:
    await Provisioner(bus.requests).ensure(of(stream("RUNS", "to.>")))
    assert await Provisioner(bus.requests).ensure(of(LOGS)) == ["stream RUNS now takes batches"]
    assert (await bus.requests.api("STREAM.INFO.RUNS"))["config"]["allow_atomic"]
    assert await Provisioner(bus.requests).ensure(of(LOGS)) == []


async def test_a_stream_of_somebody_else_is_not_made_to_take_batches(bus: Bus) -> None:
    await bus.stream("RUNS", "to.>")  # in memory: none of Layby's is
    assert await Provisioner(bus.requests).ensure(of(LOGS)) == []
    assert not (await bus.requests.api("STREAM.INFO.RUNS"))["config"].get("allow_atomic")


OUTSIDE = ("EVENTS", "ANSWERS")
"""The streams in which outsiders store."""


async def taking(bus: Bus) -> set[str]:
    """The streams that take batches."""
    names = (await bus.requests.api("STREAM.NAMES"))["streams"]
    infos = [await bus.requests.api(f"STREAM.INFO.{name}") for name in names]
    return {info["config"]["name"] for info in infos if info["config"].get("allow_atomic")}


async def test_what_outsiders_store_is_in_no_batches_unless_that_is_asked_for(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they begin and never end counts for no quota."""
    monkeypatch.delenv(SETTING, raising=False)
    topology = app_of(nothing).topology()
    await Provisioner(bus.requests).ensure(topology)
    inside = await taking(bus)
    assert inside >= {"RUNS", "QUESTIONS", "TIMERS", "KV_parked"}
    assert inside.isdisjoint(OUTSIDE)
    assert await Provisioner(bus.requests).ensure(topology) == []
    monkeypatch.setenv(SETTING, "1")
    changes = await Provisioner(bus.requests).ensure(topology)
    assert changes == [f"stream {name} now takes batches" for name in OUTSIDE]
    assert await taking(bus) == inside | set(OUTSIDE)
    assert await Provisioner(bus.requests).ensure(topology) == []
    monkeypatch.delenv(SETTING)  # a worker without it, beside those that have it
    assert await Provisioner(bus.requests).ensure(topology) == []


async def test_new_streams_of_outsiders_take_batches_where_that_is_asked_for(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SETTING, "1")
    await Provisioner(bus.requests).ensure(app_of(nothing).topology())
    assert await taking(bus) >= set(OUTSIDE)


async def test_a_user_who_may_not_change_streams_is_refused_once(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker on streams of an earlier release: it stores singly."""
    await Provisioner(bus.requests).ensure(of(stream("RUNS", "to.>"), stream("RUNS_8", "so.>")))
    asked: list[str] = []
    real = bus.requests.api

    async def api(verb: str, *more: Any, **options: Any) -> dict[str, Any]:
        if not verb.startswith("STREAM.UPDATE"):
            return await real(verb, *more, **options)
        asked.append(verb)
        raise PermissionDenied("no")

    monkeypatch.setattr(bus.requests, "api", api)
    second = stream("RUNS_8", "so.>", allow_atomic=True)
    assert await Provisioner(bus.requests).ensure(of(LOGS, second)) == []
    assert asked == ["STREAM.UPDATE.RUNS"]
