"""Campaigns in which the server can store nothing more, and later can again."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import subprocess
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path

from .campaign import Campaign, campaign
from .plan import batches, plans
from .report import Report

_MEGABYTES = 64
_BLOCK = 64 * 1024
_ROOM = 200_000
"""Bytes that the server may store before its limit is first met."""
_QUOTA = 'jetstream {{ store_dir: "{folder}", max_file_store: {size} }}'


def can_mount() -> bool:
    """Whether this user may mount a file system of its own."""
    return os.geteuid() == 0


class Disk:
    """A small file system that can be filled to its last byte, and freed."""

    def __init__(self, folder: Path) -> None:
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Leave no room."""
        size = _BLOCK
        with self._filler.open("wb", buffering=0) as file:
            while size:
                try:
                    file.write(b"x" * size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2

    def free(self) -> None:
        """Give the room back."""
        self._filler.unlink()


@contextlib.contextmanager
def small_disk(folder: Path) -> Generator[Disk]:
    """A file system of its own at `folder`."""
    folder.mkdir(parents=True)
    size = f"size={_MEGABYTES}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], check=True)  # noqa: S603, S607
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S603, S607


async def disk_full(folder: Path, seed: int, size: float = 1.0) -> Report:
    """The server's disk fills up amid everything; somebody frees it and restarts the server."""
    with small_disk(folder / "nats") as disk:
        async with campaign("disk_full", folder, seed=seed) as c:
            await c.start(2)
            times = max(1, round(8 * size))
            todo = plans(seed, max(30, round(240 * size)))
            for batch in batches(todo, times):
                c.driver.open(*batch)
                await c.while_looking(c.draw.uniform(0.1, 0.8))
                disk.fill()
                c.note("disk full")
                await _wait(c, 6.0)
                disk.free()
                await c.restart_server()
                await c.while_looking(1.0)
            return await c.settle(60)


async def store_full(folder: Path, seed: int, size: float = 1.0) -> Report:
    """The server reaches the limit that it was given for its files; somebody raises it."""
    extra = _quota(folder, _ROOM)
    async with campaign("store_full", folder, seed=seed, extra=extra) as c:
        await c.start(2)
        times = max(1, round(4 * size))
        todo = plans(seed, max(40, round(400 * size)))
        for number, batch in enumerate(batches(todo, times)):
            c.driver.open(*batch)
            told = c.driver.refusals.total()
            await c.until(lambda: c.driver.refusals.total() > told, 60, "a full store")  # noqa: B023
            c.note("store full")
            await _wait(c, 3.0)
            last = number == times - 1
            room = 10**10 if last else _ROOM * (number + 2)
            c.server._extra = _quota(folder, room)  # pyright: ignore[reportPrivateUsage]
            await c.restart_server()
            await c.while_looking(0.5)
        return await c.settle(60)


def _quota(folder: Path, size: int) -> str:
    return _QUOTA.format(folder=folder / "nats", size=size)


async def _wait(c: Campaign, seconds: float) -> None:
    """Let time pass, looking on where the server can still be read."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds + 1):
            await c.while_looking(seconds)


SCENARIOS: dict[str, Callable[[Path, int, float], Awaitable[Report]]] = {
    "store_full": store_full,
    **({"disk_full": disk_full} if can_mount() else {}),
}
