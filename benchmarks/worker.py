"""Worker processes, started as a user starts them: `layby worker`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).parent.parent
_READY_WITHIN = 60.0
_POLL = 0.002


class WorkerProcess:
    """One `layby worker`, its log in a file."""

    def __init__(
        self, url: str, folder: Path, name: str, app: str, environ: Mapping[str, str]
    ) -> None:
        self._log = folder / f"{name}.log"
        clean = {key: value for key, value in os.environ.items() if not key.startswith("NATS_")}
        ours = {"NATS_URL": url, "PYTHONPATH": str(ROOT), "HOME": str(folder)}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "layby", "worker", app],
                env={**clean, **environ, **ours},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def ready(self) -> None:
        """Wait until it takes work. Raises RuntimeError when it does not."""
        async with asyncio.timeout(_READY_WITHIN):
            while "ready on" not in self._log.read_text(errors="replace"):
                if self._process.poll() is not None:
                    raise RuntimeError(f"the worker ended:\n{self._log.read_text()[-2_000:]}")
                await asyncio.sleep(_POLL)

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.wait()

    async def stop(self) -> None:
        """Let it drain, for a while."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self._process.wait, 30)
        self.kill()


@contextlib.asynccontextmanager
async def workers(
    url: str,
    folder: Path,
    count: int = 1,
    app: str = "benchmarks.desk:app",
    environ: Mapping[str, str] = MappingProxyType({}),
) -> AsyncGenerator[list[WorkerProcess]]:
    """So many workers, ready, for as long as the block is open; `environ` comes on top of ours."""
    names = [f"worker-{number}" for number in range(count)]
    team = [WorkerProcess(url, folder, name, app, environ) for name in names]
    try:
        for worker in team:
            await worker.ready()
        yield team
    finally:
        for worker in team:
            await worker.stop()
