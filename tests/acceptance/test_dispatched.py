"""What a client that sends an event is told of the runs that it starts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from layby import App, Keyring
from layby.bus.keyring import new_key
from layby.client import Client
from layby.testing import TestRuntime
from tests.engine import WITHIN

pytestmark = pytest.mark.nats

Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]


async def test_a_run_that_cannot_be_read_here_is_named_with_its_workflow(
    layby_running: Running,
) -> None:
    app = App("desk", encryption=Keyring(dict([new_key("k1").split(":", 1)])))

    @app.workflow(on="desk.opened", key="id", name="Open_the_desk")
    async def handle(event: dict[str, Any]) -> str:
        return str(event["id"])

    async with layby_running(app) as rt, Client.connect(rt.settings) as stranger:
        sent = await stranger.dispatch("desk.opened", b'{"id": "T1"}', within=WITHIN)
        assert sent.workflows == ["Open_the_desk"]
        assert [run.workflow for run in sent.runs] == ["Open_the_desk"]
        assert (await stranger.show(sent.runs[0].id)).ticket == "T1"
