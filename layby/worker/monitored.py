"""Measures a worker if somebody wants to know, and costs nothing otherwise."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ..app import App

if TYPE_CHECKING:
    from ..metrics.monitor import Monitor


@asynccontextmanager
async def monitored(app: App, place: tuple[str, int] | None) -> AsyncGenerator[Monitor | None]:
    """A monitor that serves metrics and probes while the block is open.

    Args:
        app: The app.
        place: The address and port; None: nobody wants to know, and there is no monitor.

    Raises:
        MetricsPortTaken: the port cannot be used.
    """
    if place is None:
        yield None
        return
    from .monitoring import monitor_of  # noqa: PLC0415  it loads prometheus-client

    monitor = monitor_of(app)
    async with monitor.serving(*place):
        yield monitor
