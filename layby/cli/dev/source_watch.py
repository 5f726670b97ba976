"""Which source files are saved while an app is being developed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path


@asynccontextmanager
async def saved_files(folder: Path, *, enabled: bool = True) -> AsyncGenerator[asyncio.Queue[str]]:
    """A queue of the Python files saved below `folder`, by their path from there.

    One save is one entry, although editors write a file in several steps. Empty if not enabled.
    """
    saved: asyncio.Queue[str] = asyncio.Queue()
    if not enabled:
        yield saved
        return
    task = asyncio.ensure_future(_watch(folder, saved))
    try:
        yield saved
    finally:
        task.cancel()


async def _watch(folder: Path, saved: asyncio.Queue[str]) -> None:
    from watchfiles import PythonFilter, awatch  # pyright: ignore[reportUnknownVariableType]

    async for changes in awatch(folder, watch_filter=PythonFilter()):
        names = sorted(_shown(path, folder) for _, path in changes)
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        saved.put_nowait(names[0] + more)


def _shown(path: str, folder: Path) -> str:
    return str(Path(path).relative_to(folder)) if Path(path).is_relative_to(folder) else path
