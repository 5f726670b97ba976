"""The research network from its event to its report."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from examples.research_network.app import app
from layby.testing import TestRuntime

pytestmark = pytest.mark.nats

Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]


async def test_researchers_work_in_parallel_and_the_critic_counts(
    layby_running: Running,
) -> None:
    question = {"id": "R1", "question": "Do battery ferries pay?"}
    async with layby_running(app) as rt:
        await rt.send("research.requested", question)
        report = await rt.result("R1")
        detail = await rt.ended("R1")
    assert report["accepted"]
    for source in ("news/2026-03", "paper/kvist", "figures/fleet"):
        assert source in report["text"]
    assert "figures/trains" not in report["text"]
    assert report["tokens"] > 0
    routes = [step.detail or step.name for step in detail.steps if step.kind == "route"]
    assert len(routes) == 6  # three at once, writer, critic, writer, critic, done
    assert all(name in routes[0] for name in ("News desk", "Library", "Statistics"))
