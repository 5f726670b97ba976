"""Nobody without a key says anything in the log of an encrypted run, wherever they may store."""

from __future__ import annotations

import os
from typing import Any

import pytest

from layby import App, Keyring, Step
from layby.bus.keyring import new_key
from layby.bus.log_subject import NOBODY, subject
from layby.bus.sealing import MARK
from layby.runtime.entry import Cancelled
from layby.runtime.envelope import Envelope, encode
from tests.engine import ON, WORKFLOW, Engine

pytestmark = pytest.mark.nats

FORGED = encode(Envelope(op="w-1", at=1.0, records=[Cancelled(reason="forged")]))
SEALED = MARK + bytes([5]) + b"b-1/0" + os.urandom(40)
"""What looks sealed, with a key that never was."""


def asking(ring: Keyring) -> App:
    app = App("desk", encryption=ring)

    @app.workflow(on=ON, key="ticket", name=WORKFLOW)
    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        return (await step.ask("developer", "Which one?")).text

    return app


@pytest.mark.parametrize("first", [FORGED, SEALED], ids=["plain", "looks sealed"])
@pytest.mark.parametrize("replaced", [True, False], ids=["same subject", "another address"])
async def test_what_is_stored_later_at_the_first_position_makes_no_run_readable_to_forgers(
    clean_nats: str, first: bytes, *, replaced: bool
) -> None:
    """The first entry says whether a run is encrypted. A second one at its position was believed:
    then plain entries counted, and the run's own did not."""
    ring = Keyring(dict([new_key("k1").split(":", 1)]))
    async with Engine.at(clean_nats, ring) as engine:
        async with engine.works(asking(ring)):
            run = await engine.start()
            await engine.question(run=run)
            tail = (await engine.state(run)).tail
        to = (await engine.log.outline(run))[0][1] if replaced else NOBODY
        await engine.wire.store(subject(to, run, 1), first)
        for n in range(tail + 1, tail + 4):
            await engine.wire.store(subject(NOBODY, run, n), FORGED)

        for _ in range(2):  # the second time it knows what the first has read
            async with Engine.at(clean_nats, ring) as reader:
                assert (await reader.client.show(run)).status == "waiting"
                assert (await reader.client.show(run)).status == "waiting"
        async with engine.works(asking(ring)):
            receipt = await engine.answer("T1", "this one")
            assert receipt.outcome == "accepted"
            assert await engine.result(run) == "this one"
        async with Engine.at(clean_nats, ring) as reader:
            assert (await reader.client.show(run)).status == "completed"
