"""The console in a headless Chromium, with real servers and a real worker.

First paint, paging and search with many runs; from an answer in another process to the repainted
row; what the page asks for while nothing happens; a run with a long log; what many open tabs cost.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

import layby.console
from layby.bus.bucket import Bucket
from layby.bus.connection import ConnectionSettings
from layby.bus.opened import opened
from layby.client import Client
from layby.runtime.index import IndexRow, key_of
from layby.runtime.times import iso

from . import desk
from .browser import Page, opened_page
from .drive import WITHIN
from .lists import Rows
from .measure import Figure, cpu_seconds, percentile, resident_bytes
from .server import server
from .sizes import Sizes
from .tabs import open_tabs
from .worker import ROOT, workers

WORKLOAD = "console"
_ADDRESS = re.compile(r"http://\S+token=[\w-]+")
_ASSETS = Path(layby.console.__file__).parent / "static"
_CHANGES = 200
"""Run changes a second while the tabs are open."""
_CHANGING = 10.0
"""Seconds for which runs change."""
_PAGES = 10
_CATCH_UP = 120.0


class _Console(NamedTuple):
    """A `layby console` in a process of its own."""

    pid: int
    entry: str

    @property
    def url(self) -> str:
        """Its address without the token."""
        return self.entry.partition("/?")[0]


async def measure(sync: str, sizes: Sizes) -> list[Figure]:
    """All figures of the console, with `sizes.console_runs` runs listed."""
    figures = [Figure(WORKLOAD, "all assets, gzipped", _assets(), "kB", sync=sync)]
    async with server(sync) as nats:
        settings = ConnectionSettings(servers=(nats.url,))
        with tempfile.TemporaryDirectory(prefix="layby-bench-") as folder:
            async with (
                workers(nats.url, Path(folder)),
                Client.connect(settings) as client,
                opened(settings, patient=True) as (_, requests),
            ):
                rows = Rows(requests)
                await rows.fill(sizes.console_runs)
                long = await _long_run(client, sizes.console_entries)
                async with _console(nats.url) as console:
                    async with opened_page(console.entry) as page:
                        figures += await _looks(page, console, sizes)
                        figures += await _long_log(page, console, long, sizes)
                        figures += await _answers(page, console, client, sizes)
                        figures += await _idle(page, console, sizes)
                    figures += await _tabs(console, Bucket(requests, "runs"), rows, sizes)
    return [figure._replace(sync=sync) for figure in figures]


def _assets() -> float:
    files = (file for file in _ASSETS.iterdir() if file.is_file())
    return sum(len(gzip.compress(file.read_bytes())) for file in files) / 1e3


@contextlib.asynccontextmanager
async def _console(url: str) -> AsyncGenerator[_Console]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "layby", "-s", url, "console", "--port", "0"),
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    try:
        yield _Console(process.pid, await _address(process))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    """The address that the console prints. Raises RuntimeError if it ends without one."""
    while process.stdout is not None and (line := await process.stdout.readline()):
        if found := _ADDRESS.search(line.decode()):
            return found[0]
    raise RuntimeError("the console ended before it printed its address")


async def _looks(page: Page, console: _Console, sizes: Sizes) -> list[Figure]:
    """First paint, the next page and a text search, with all runs in the catalogue."""
    about = f"{sizes.console_runs:,} runs"
    await page.until_text(f"{sizes.console_runs + 1:,}", _CATCH_UP)  # with the long one
    paints = [await page.painted(console.url + "/") for _ in range(_PAGES)]
    nexts = [await page.painted_by_click("a[rel=next]") for _ in range(_PAGES)]
    found = [await page.painted(f"{console.url}/?q={Rows.ticket(n * 977)}") for n in range(_PAGES)]
    return [
        Figure(WORKLOAD, f"first paint, {about}", percentile(paints, 0.5), "ms"),
        Figure(WORKLOAD, f"next page, {about}", percentile(nexts, 0.5), "ms"),
        Figure(WORKLOAD, f"text search, {about}", percentile(found, 0.5), "ms"),
        Figure(WORKLOAD, f"memory, {about}", resident_bytes([console.pid]) / 1e6, "MB"),
    ]


async def _long_run(client: Client, entries: int) -> str:
    """The id of a run with so many steps, once it is over."""
    data = {"ticket": "long", "steps": entries}
    await client.send(desk.STEPS, data, event_id="long")
    return (await client.run_of("steps", "long").ended()).id


async def _long_log(page: Page, console: _Console, run: str, sizes: Sizes) -> list[Figure]:
    about = f"run of {sizes.console_entries:,} entries"
    opens = [await page.painted(f"{console.url}/runs/{run}") for _ in range(3)]
    slowest = await page.slowest_frame_while_scrolling()
    return [
        Figure(WORKLOAD, f"{about}, first paint", min(opens), "ms"),
        Figure(WORKLOAD, f"{about}, longest frame while scrolling", slowest, "ms"),
    ]


async def _answers(page: Page, console: _Console, client: Client, sizes: Sizes) -> list[Figure]:
    """From an answer in this process to the row that says that the run is completed."""
    await page.go(console.url + "/")
    taken: list[float] = []
    for number in range(sizes.console_answers):
        ticket = f"answered-{number}"
        await client.send(desk.TICKET, {"ticket": ticket}, event_id=ticket)
        await page.until_row(ticket, "st-waiting")
        seen = asyncio.create_task(page.row_repainted(ticket, "st-completed"))
        await page.watching()
        began = time.time()
        await client.answer(ticket, "yes", by="bench", timeout=WITHIN)
        taken.append((await seen - began) * 1e3)
    return [
        Figure(WORKLOAD, f"answer -> row repainted {name}", percentile(taken, share), "ms")
        for name, share in (("p50", 0.5), ("p99", 0.99))
    ]


async def _idle(page: Page, console: _Console, sizes: Sizes) -> list[Figure]:
    """Requests of the page, and the console's CPU time, while nothing happens."""
    began, cpu = time.monotonic(), cpu_seconds([console.pid])
    asked = await page.requests_within(sizes.console_idle)
    took = time.monotonic() - began
    busy = (cpu_seconds([console.pid]) - cpu) / took
    return [
        Figure(WORKLOAD, "requests while nothing happens", asked / took * 60, "a minute"),
        Figure(WORKLOAD, "console while nothing happens", busy * 100, "% of a core"),
    ]


async def _tabs(console: _Console, index: Bucket, rows: Rows, sizes: Sizes) -> list[Figure]:
    """The console's CPU time while many tabs are open and many runs change."""
    host = urlsplit(console.url).netloc
    async with open_tabs(host, console.entry, sizes.console_tabs) as tabs:
        cpu, began = cpu_seconds([console.pid]), time.monotonic()
        changed = await _change(index, rows, began)
        took = time.monotonic() - began
        busy = (cpu_seconds([console.pid]) - cpu) / took
        patches = tabs.patches
    name = f"{sizes.console_tabs} tabs, {changed / took:,.0f} run changes/s"
    return [
        Figure(WORKLOAD, f"{name}: console", busy * 100, "% of a core"),
        Figure(WORKLOAD, f"{name}: patches to a tab", patches / sizes.console_tabs / took, "/s"),
    ]


async def _change(index: Bucket, rows: Rows, began: float) -> int:
    """Write rows at a steady rate; how many."""
    done = 0
    while (passed := time.monotonic() - began) < _CHANGING:
        while done < passed * _CHANGES:
            at = iso(time.time())
            row = IndexRow(
                id=rows.run(done),
                workflow="solve",
                ticket=rows.ticket(done),
                status=("running", "completed")[done % 2],
                started_at=at,
                updated_at=at,
                pos=10 + done,
            )
            await index.put(key_of(row.ticket, row.id), msgspec.json.encode(row))
            done += 1
        await asyncio.sleep(0.005)
    return done
