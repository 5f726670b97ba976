"""Traces a worker if somebody wants it, and costs nothing otherwise."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from ..actors.networks.network import Network
from ..actors.workflows.workflow import Workflow
from ..app import App
from ..runtime.tracing import UNTRACED, Tracer
from ..tracing.provider import flush, provider

if TYPE_CHECKING:
    from ..tracing.segment import Actor


@asynccontextmanager
async def traced(app: App) -> AsyncGenerator[Tracer]:
    """The tracer of a worker of `app`; when the block ends, the last spans are sent."""
    found = provider(app.name)
    if found is None:
        yield UNTRACED
        return
    from ..tracing.tracer import SpanTracer  # noqa: PLC0415  it loads OpenTelemetry

    try:
        yield SpanTracer(found, actors_of(app), encrypted=app.encryption is not None)
    finally:
        await flush()


def actors_of(app: App) -> Mapping[str, Actor]:
    """The actors of an app by their addresses, as spans name them."""
    from ..tracing import names  # noqa: PLC0415
    from ..tracing.segment import Actor  # noqa: PLC0415

    found = {agent.address: Actor(names.AGENT, agent.name) for agent in app.agents.values()}
    coordinating: list[Network[Any] | Workflow] = [
        *app.networks.values(),
        *app.workflows.values(),
    ]
    for each in coordinating:
        found[each.address] = Actor(names.WORKFLOW, each.name)
    return found
