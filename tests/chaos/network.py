"""Campaigns over a network that fails: cut, gone, deaf, or silent without a word."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

from tests.fix_proxy import Proxy

from .campaign import Campaign, campaign
from .plan import batches, plans
from .report import Report

_WAYS = {
    "both ways": {"clients": True, "server": True},
    "to the server": {"clients": True, "server": False},
    "from the server": {"clients": False, "server": True},
}


@contextlib.asynccontextmanager
async def proxied(name: str, folder: Path, seed: int) -> AsyncGenerator[tuple[Campaign, Proxy]]:
    """A campaign with two workers, one of them behind a proxy."""
    async with campaign(name, folder, seed=seed) as c:
        proxy = Proxy(c.server.url)
        await proxy.start()
        try:
            await c.start()
            await c.start(url=proxy.url)
            yield c, proxy
        finally:
            await proxy.stop()


async def partitions(folder: Path, seed: int, size: float = 1.0) -> Report:
    """One worker's network goes deaf, is cut, or is gone, while another's is well."""
    async with proxied("partitions", folder, seed) as (c, proxy):
        draw = random.Random(seed)  # noqa: S311
        times = max(3, round(20 * size))
        todo = plans(seed, max(30, round(200 * size)))
        for batch in batches(todo, times):
            c.driver.open(*batch)
            await c.while_looking(draw.uniform(0.1, 0.6))
            await _fail(c, proxy, draw.choice(["deaf", "cut", "gone"]), draw.uniform(0.5, 4.0))
        return await c.settle(60)


async def _fail(c: Campaign, proxy: Proxy, how: str, seconds: float) -> None:
    c.note(f"worker's network {how}")
    if how == "deaf":
        proxy.deaf()
        await c.while_looking(seconds)
        proxy.hear()
    elif how == "cut":
        proxy.cut()
        await c.while_looking(0.3)
    else:
        await proxy.stop()
        await c.while_looking(seconds)
        await proxy.start()


async def silence(
    folder: Path, seed: int, size: float = 1.0, *, seconds: float = 30.0, times: int = 0
) -> Report:
    """One worker's network passes nothing on and resets nothing; then all of it arrives, late."""
    async with proxied("silence", folder, seed) as (c, proxy):
        times = times or max(len(_WAYS), round(9 * size))
        todo = plans(seed, max(10 * times, round(300 * size)))
        for number, batch in enumerate(batches(todo, times)):
            how = list(_WAYS)[number % len(_WAYS)]
            c.driver.open(*batch)
            await c.while_looking(c.draw.uniform(0.05, 0.5))
            proxy.hold(**_WAYS[how])
            c.note(f"worker's network silent for {seconds:g} s, {how}")
            await c.while_looking(seconds)
            proxy.release()
            await c.while_looking(1.0)
        return await c.settle(60)


SCENARIOS: dict[str, Callable[[Path, int, float], Awaitable[Report]]] = {
    "partitions": partitions,
    "silence": silence,
}
