"""What an app no longer declares is taken away where nobody else needs it, and never silently."""

from __future__ import annotations

from typing import Any

import pytest

from layby import App
from layby.bus.errors import TopologyMismatch
from layby.bus.pruning import Prune
from layby.bus.topology import Provisioner
from layby.operations.provisioning import provision
from tests.engine import Engine
from tests.fix_bus import Bus

pytestmark = pytest.mark.nats


async def nothing(event: dict[str, Any]) -> None:
    """Stand for a workflow."""


def app(name: str = "desk", *, on: str = "", waits: tuple[str, ...] = (), of: str = "") -> App:
    made = App(name, events=list(waits))
    made.workflow(on="always.there", key="ticket", name=f"{name}-always")(nothing)
    if on:
        made.workflow(on=on, key="ticket", name=of or f"{name}-handle")(nothing)
    return made


async def made(bus: Bus, wanted: App, prune: Prune | None = None) -> list[str]:
    return await Provisioner(bus.requests, prune=prune).ensure(wanted.topology())


async def kept(bus: Bus) -> set[str]:
    return set((await bus.requests.api("STREAM.INFO.EVENTS"))["config"]["subjects"])


async def consumers(bus: Bus) -> set[str]:
    return set((await bus.requests.api("CONSUMER.NAMES.EVENTS"))["consumers"])


async def test_a_changed_on_takes_the_old_subject_along(bus: Bus) -> None:
    await made(bus, app(on="desk.old"))
    with pytest.raises(TopologyMismatch, match=r"layby provision APP --prune"):
        await made(bus, app(on="desk.new"))

    changes = await made(bus, app(on="desk.new"), Prune.IDLE)

    assert changes == [
        "removed consumer on-desk-handle on EVENTS, which read desk.old",
        "created consumer on-desk-handle on EVENTS",
        "removed desk.old from stream EVENTS",
    ]
    assert await kept(bus) == {"always.there", "desk.new"}
    assert await made(bus, app(on="desk.new"), Prune.IDLE) == []


async def test_a_workflow_that_is_gone_leaves_nothing(bus: Bus) -> None:
    await made(bus, app(on="desk.old", waits=("desk.paid",)))
    await made(bus, app(), Prune.IDLE)
    assert await kept(bus) == {"always.there"}
    assert await consumers(bus) == {"on-desk-always", "waits"}, "others may wait for something"


async def test_what_an_app_that_shares_the_stream_declares_stays(bus: Bus) -> None:
    await made(bus, app(on="both.opened", waits=("both.paid",)))
    await made(bus, app("other", on="both.opened", waits=("both.paid",)))
    await made(bus, app(), Prune.IDLE)
    assert await kept(bus) == {"always.there", "both.opened", "both.paid"}
    assert {"on-other-handle", "waits"} <= await consumers(bus)

    await made(bus, app("other"), Prune.IDLE)
    assert await kept(bus) == {"always.there"}


async def test_what_nobody_has_noted_stays(bus: Bus) -> None:
    """An earlier release has declared it, or somebody has added it by hand."""
    await made(bus, app())
    config = (await bus.requests.api("STREAM.INFO.EVENTS"))["config"]
    body = {**config, "subjects": [*config["subjects"], "somebodys.own"]}
    await bus.requests.api("STREAM.UPDATE.EVENTS", body)
    assert await made(bus, app(), Prune.ALL) == []
    assert "somebodys.own" in await kept(bus)


async def test_a_subject_that_a_consumer_reads_stays(bus: Bus) -> None:
    await made(bus, app(on="desk.old"))
    reader = {"durable_name": "theirs", "filter_subject": "desk.old", "ack_policy": "explicit"}
    body = {"stream_name": "EVENTS", "config": reader}
    await bus.requests.api("CONSUMER.CREATE.EVENTS.theirs.desk.old", body)
    await made(bus, app(), Prune.ALL)
    assert "desk.old" in await kept(bus)


@pytest.mark.parametrize("mode", [Prune.IDLE, Prune.ALL])
async def test_events_that_wait_are_left_only_where_that_is_meant(bus: Bus, mode: Prune) -> None:
    await made(bus, app(on="desk.old"))
    await bus.requests.store("desk.old", b'{"ticket":"T1"}')
    if mode is Prune.IDLE:
        with pytest.raises(TopologyMismatch, match=r"1 messages on 'desk\.old' wait there"):
            await made(bus, app(), mode)
        assert "desk.old" in await kept(bus)
        return
    [removed, _] = await made(bus, app(), mode)
    assert removed.endswith("which read desk.old, with 1 unhandled messages")
    info = await bus.requests.api("STREAM.INFO.EVENTS")
    assert info["state"]["messages"] == 1, "what it has brought stays"


async def test_provisioning_tells_and_takes_away_when_told_to(engine: Engine) -> None:
    await provision(app(on="desk.old"), engine.settings)
    [told] = await provision(app(), engine.settings)
    assert told.message.startswith("stream EVENTS still keeps events on desk.old, which the app")
    await provision(app(), engine.settings, prune=True)
    [told] = await provision(app(), engine.settings)
    assert told.message == "everything is there already"
    info = await engine.wire.api("STREAM.INFO.EVENTS")
    assert info["config"]["subjects"] == ["always.there"]
