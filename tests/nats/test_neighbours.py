"""Streams of others in the same account: they are read where asked, and never changed."""

from __future__ import annotations

from typing import Any

import pytest

from layby import App
from layby.bus.errors import TopologyMismatch
from layby.bus.layout import SAID, streams
from layby.bus.specs import Topology
from layby.bus.topology import Provisioner
from layby.operations.provisioning import provision
from tests.engine import Engine, app_of
from tests.fix_bus import Bus

pytestmark = pytest.mark.nats


async def nothing(event: dict[str, Any]) -> None:
    """Stand for a workflow."""


async def config_of(bus: Bus, stream: str) -> dict[str, Any]:
    found: dict[str, Any] = (await bus.requests.api(f"STREAM.INFO.{stream}"))["config"]
    return found


async def names(bus: Bus) -> set[str]:
    return set((await bus.requests.api("STREAM.NAMES", {}))["streams"] or [])


@pytest.mark.parametrize("name", ["EVENTS", "QUESTIONS", "TIMERS", "KV_runs"])
async def test_a_stream_of_somebody_else_with_one_of_our_names_is_left_as_it_is(
    bus: Bus, name: str
) -> None:
    await bus.stream(name, "corp.>")
    before = await config_of(bus, name)

    with pytest.raises(TopologyMismatch, match=rf"stream {name} \(corp\.>\) was not created by"):
        await Provisioner(bus.requests).ensure(app_of(nothing).topology())

    assert await config_of(bus, name) == before
    assert await names(bus) == {name}, "nothing else was created either"


async def test_a_prefix_makes_room_next_to_it(bus: Bus) -> None:
    await bus.stream("EVENTS", "corp.>")
    before = await config_of(bus, "EVENTS")
    app = app_of(nothing, prefix="shop")

    async with Engine.at(bus.connection.settings.servers[0]) as engine:
        await provision(app, engine.settings)

    assert await config_of(bus, "EVENTS") == before
    assert {"SHOP_EVENTS", "SHOP_RUNS", "KV_SHOP_parked"} <= await names(bus)


async def test_what_we_create_says_whose_it_is(bus: Bus) -> None:
    await Provisioner(bus.requests).ensure(app_of(nothing).topology())
    for spec in app_of(nothing).topology().streams:
        assert (await config_of(bus, spec.name))["metadata"]["layby"] == "1"


async def test_streams_of_an_earlier_release_are_known_by_their_settings(bus: Bus) -> None:
    """It left no mark; more triggers and roles can be added to them, and then they have one."""
    for spec in streams(["desk.opened"], ["developer"]):
        await bus.stream(spec.name, *spec.subjects, storage="file", compression="s2", **spec.config)

    edited = await config_of(bus, "EVENTS")
    await bus.requests.api("STREAM.UPDATE.EVENTS", {**edited, "max_age": 10 * 86_400 * 10**9})

    more = Topology(
        streams=streams(["desk.opened", "desk.paid"], ["developer", "legal"]), consumers=()
    )
    changes = await Provisioner(bus.requests).ensure(more)

    assert changes == [
        "added desk.paid to stream EVENTS",
        "added legal.question.*, legal.receipt.* to stream QUESTIONS",
        f"added {', '.join(f'legal.{noun}.>' for noun in SAID)} to stream ANSWERS",
    ]
    assert (await config_of(bus, "EVENTS"))["metadata"]["layby"] == "1"


async def test_a_stream_with_wildcards_is_not_our_stream_of_events(bus: Bus) -> None:
    """Whatever its settings are: triggers have none."""
    [events, *_] = streams(["desk.opened"], [])
    await bus.stream("EVENTS", "corp.>", storage="file", compression="s2", **events.config)
    with pytest.raises(TopologyMismatch, match="was not created by Layby"):
        await Provisioner(bus.requests).ensure(app_of(nothing).topology())


async def test_a_trigger_in_another_stream_is_reported_with_the_way_to_read_it(bus: Bus) -> None:
    await bus.stream("CORP", "corp.>")
    with pytest.raises(TopologyMismatch, match=r'already in stream CORP.*stream="CORP"'):
        await Provisioner(bus.requests).ensure(app_of(nothing, on="corp.opened").topology())
    assert await names(bus) == {"CORP"}


async def test_a_prefix_whose_subjects_are_in_another_stream_is_reported(bus: Bus) -> None:
    await bus.stream("CORP", "shop.>")
    bus.requests.names = (app := app_of(nothing, prefix="shop")).names
    with pytest.raises(TopologyMismatch, match=r"SHOP_RUNS needs .*'shop.to.>'.*: CORP"):
        await Provisioner(bus.requests).ensure(app.topology())
    assert await names(bus) == {"CORP"}


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"retention": "workqueue"}, "has workqueue retention, which removes events"),
        ({"retention": "interest"}, "has interest retention, which removes events"),
        ({"subjects": ["other.>"]}, "keeps no events on 'corp.opened': it holds other.>"),
        (
            {"allow_direct": False},
            "does not allow direct get.*nats stream edit CORP --allow-direct",
        ),
    ],
)
async def test_a_stream_in_which_events_would_be_lost_is_refused(
    bus: Bus, config: dict[str, Any], reason: str
) -> None:
    given = {"subjects": ["corp.>"], **config}
    await bus.stream("CORP", *given.pop("subjects"), **given)
    app = App("desk", events=["corp.opened"], streams={"corp.opened": "CORP"})
    with pytest.raises(TopologyMismatch, match=reason):
        await Provisioner(bus.requests).ensure(app.topology())
    assert await names(bus) == {"CORP"}


async def test_a_trigger_needs_no_direct_get(bus: Bus) -> None:
    await bus.stream("CORP", "corp.>", allow_direct=False)
    app = App("desk")
    app.workflow(on="corp.opened", key="ticket", stream="CORP")(nothing)
    await Provisioner(bus.requests).ensure(app.topology())
    assert (await bus.about("CORP", "layby-on-nothing"))["config"][
        "filter_subject"
    ] == "corp.opened"


async def test_a_stream_that_does_not_exist_is_reported(bus: Bus) -> None:
    app = App("desk")
    app.workflow(on="corp.opened", key="ticket", stream="COPR")(nothing)
    with pytest.raises(TopologyMismatch, match="from stream COPR, which does not exist"):
        await Provisioner(bus.requests).ensure(app.topology())


async def test_a_consumer_of_somebody_else_is_not_shared(bus: Bus) -> None:
    await bus.stream("CORP", "corp.>")
    await bus.consumer("CORP", "layby-on-nothing", filter_subject="corp.opened")
    app = App("desk")
    app.workflow(on="corp.opened", key="ticket", stream="CORP")(nothing)
    with pytest.raises(TopologyMismatch, match="was not created by this app"):
        await Provisioner(bus.requests).ensure(app.topology())


async def test_copies_that_are_impossible_are_reported(engine: Engine) -> None:
    await provision(app_of(nothing), engine.settings)
    with pytest.raises(
        TopologyMismatch, match=r"EVENTS keeps 1 copy and cannot have 3: .*replicas"
    ):
        await provision(app_of(nothing), engine.settings, replicas=3)
