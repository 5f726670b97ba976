"""A peer's environment: a venv, packages from the registries, processes that end with it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path

from ..measure import Figure

ROOT = Path(__file__).parent.parent.parent
_INSTALL_WITHIN = 300.0
_READY_WITHIN = 60.0
_BENCH_WITHIN = 900.0
_POLL = 0.05
_PORTS = range(20_000, 32_000)
_UNITS = {"steps": "steps/s", "park": "runs/s", "resume": "runs/s", "overall": "runs/s"}


class Unavailable(RuntimeError):
    """A peer cannot be had here; the message says why."""


class Environment:
    """A folder of its own; all that was started in it ends with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def new(cls, name: str) -> AsyncGenerator[Environment]:
        """An empty one, removed at the end of the block."""
        with tempfile.TemporaryDirectory(prefix=f"layby-bench-{name}-") as folder:
            os.chmod(folder, 0o755)  # noqa: PTH101, S103  for a server that may not run as root
            environment = cls(Path(folder))
            try:
                yield environment
            finally:
                environment.end()

    @property
    def python(self) -> str:
        """The interpreter of the venv."""
        return str(self.folder / "venv" / "bin" / "python")

    async def pip(self, *packages: str) -> str:
        """Make a venv with these packages; return their versions."""
        await self.command(sys.executable, "-m", "venv", str(self.folder / "venv"))
        install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        await self.command(self.python, *install, *packages)
        frozen = await self.command(self.python, "-m", "pip", "list", "--format", "json")
        names = {package.partition("[")[0] for package in packages}
        found = [p for p in json.loads(frozen) if p["name"] in names]
        return ", ".join(f"{p['name']} {p['version']}" for p in found)

    async def npm(self, *packages: str) -> Path:
        """Install these packages; return the folder of their programs."""
        npm = shutil.which("npm")
        if npm is None:
            raise Unavailable("there is no npm")
        quiet = ("--no-audit", "--no-fund", "--loglevel", "error")
        await self.command(npm, "install", "--prefix", str(self.folder), *quiet, *packages)
        return self.folder / "node_modules" / ".bin"

    async def command(self, *words: str, user: str | None = None) -> str:
        """Run a command to its end. Raises Unavailable when it fails."""
        try:
            done = await asyncio.to_thread(
                subprocess.run,
                words,
                capture_output=True,
                text=True,
                timeout=_INSTALL_WITHIN,
                check=False,
                cwd=self.folder,
                user=user,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"{Path(words[0]).name}: {error}") from None
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines()
            last = said[-1] if said else done.returncode
            raise Unavailable(f"{Path(words[0]).name} {' '.join(words[1:4])}: {last}")
        return done.stdout

    def start(
        self,
        name: str,
        *words: str,
        environ: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> int:
        """Start a process that ends with the environment; return its id."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603
                words,
                env={**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=user,
            )
        self._processes.append(process)
        return process.pid

    async def ready(self, name: str, port: int) -> None:
        """Wait until something listens on `port`. Raises Unavailable when nothing does."""
        try:
            async with asyncio.timeout(_READY_WITHIN):
                while not _listens(port):  # noqa: ASYNC110  a process sets no event
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            log = (self.folder / f"{name}.log").read_text(errors="replace")
            raise Unavailable(f"{name} does not start: {log[-400:]}") from None

    async def bench(self, module: str, *arguments: str) -> dict[str, dict[str, float]]:
        """Run a module of ours in the venv; it prints its figures by workload as JSON."""
        process = await asyncio.create_subprocess_exec(
            self.python,
            "-m",
            module,
            *arguments,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_BENCH_WITHIN):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise RuntimeError(err.decode(errors="replace")[-1_500:])
        found: dict[str, dict[str, float]] = json.loads(out.splitlines()[-1])
        return found

    def end(self) -> None:
        """End all processes, the last started first."""
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()


def figures(subject: str, found: Mapping[str, Mapping[str, float]]) -> list[Figure]:
    """What a bench printed, as figures; the unit follows from the name."""
    return [
        Figure(workload, name, value, unit_of(workload, name), subject)
        for workload, values in found.items()
        for name, value in values.items()
    ]


def unit_of(workload: str, name: str) -> str:
    """The unit in which everybody measures this."""
    if name.startswith("CPU"):
        return "ms/run"
    return "ms" if "->" in name else _UNITS.get(workload if workload == "steps" else name, "")


def free_ports(count: int) -> Sequence[int]:
    """Ports of the loopback that nobody listens on."""
    found: list[int] = []
    while len(found) < count:
        port = random.choice(_PORTS)  # noqa: S311
        if port not in found and not _listens(port):
            found.append(port)
    return found


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
