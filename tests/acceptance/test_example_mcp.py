"""The example with the tools of an MCP server, which is a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

pytest.importorskip("mcp")

from examples.mcp_tools.app import app
from layby.testing import TestRuntime

pytestmark = [pytest.mark.nats, pytest.mark.slow, pytest.mark.timeout(240)]

Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]


async def test_the_server_asks_a_person_and_the_run_waits(layby_running: Running) -> None:
    async with layby_running(app, within=60) as rt:
        await rt.send("order.cancellation", {"order": "1002"})
        question = await rt.question()
        assert question.role == "manager"
        assert "How does the customer get the money back?" in question.question
        assert (await rt.answer("1002", "cash")).outcome == "invalid"
        assert (await rt.answer("1002", "voucher", by="ada")).outcome == "accepted"
        seen = await rt.result()
    assert seen == "Order 1002 was cancelled; 25.00 go back by voucher."


async def test_what_cannot_be_cancelled_and_what_does_not_exist(layby_running: Running) -> None:
    async with layby_running(app, within=60) as rt:
        await rt.send("order.cancellation", {"order": "1001"})
        assert "can no longer be cancelled" in await rt.result("1001")
        await rt.send("order.cancellation", {"order": "7"})
        assert "there is no order 7" in await rt.result("7")
