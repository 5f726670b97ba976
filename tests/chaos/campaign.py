"""A server, workers that die, a driver and a checker, put together."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Protocol

from layby.bus.server import EmbeddedServer

from . import logins
from .board import Board
from .checker import Checker, Pause
from .driver import Driver
from .fleet import Fleet, Worker
from .front import Front, front
from .ledger import Ledger
from .report import Report, report
from .violation import PASSING, Violation

_POLL = 0.02
_TELL = 20.0
"""Seconds between two lines that say how far a campaign is."""
_ACK_WAITS = {"race": 15.0, "many_deadlines": 15.0, "cards": 3.0}
"""Where nothing fails, nothing may be taken for dead because the machine is slow; and no worker
only because a channel is.
"""
CROWDED = ("votes", "ladders", "cards", "claims")
"""Campaigns whose app has more roles than one person answers for."""


class Found(Exception):
    """A violation that is sought is certain: nothing more need be done."""


class Witness(Protocol):
    """Somebody who is shown what happens, and may be shown it wrongly."""

    async def look(self) -> None:
        """See what is shown now."""

    def violations(self) -> list[Violation]:
        """What is wrong with what was shown at the last look."""
        ...


class Campaign:
    """One campaign: faults while tickets are worked on, then peace, then the verdict."""

    def __init__(
        self,
        *,
        name: str,
        seed: int,
        folder: Path,
        driver: Driver,
        fleet: Fleet,
        server: EmbeddedServer | None,
    ) -> None:
        self.name = name
        self.seed = seed
        self.draw = random.Random(seed)  # noqa: S311
        self.driver = driver
        self.fleet = fleet
        self._server = server
        self.faults: Counter[str] = Counter()
        self.fault_times: list[float] = []
        self.pauses: list[Pause] = []
        self.patience = float("inf")
        """Seconds that `settle` waits at most: little where a seeded fault is expected to show."""
        self.sought: frozenset[str] = frozenset()
        """Kinds of violation that are looked for: `settle` waits no longer once one is certain."""
        self.complaints: list[str] = []
        """What is wrong with the campaign itself."""
        self.mutant = ""
        """The seeded fault that every worker of the campaign gets."""
        self.folder = folder
        self.deserted = False
        """Whether what dies is not replaced at present."""
        self.witnesses: list[Witness] = []
        self.board: Board | None = None
        """The channels, where the app has any."""
        self.front: Front | None = None
        """Slack and a mail server, where the app has channels there."""
        self._ledger = Ledger(folder / "ledger.jsonl")
        self._began = time.monotonic()
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def server(self) -> EmbeddedServer:
        """The one server of a campaign that is not about clusters."""
        assert self._server is not None
        return self._server

    # -- faults ----------------------------------------------------------------------------------

    def note(self, fault: str) -> None:
        """Count a fault that was just made."""
        self.faults[fault] += 1
        self.fault_times.append(time.time())

    async def start(
        self,
        count: int = 1,
        *,
        crash: str = "",
        url: str = "",
        renamed: bool = False,
        notifies: bool = False,
    ) -> list[Worker]:
        """Start workers and wait until they take work."""
        starts = (
            self.fleet.start(
                crash=crash, mutant=self.mutant, url=url, renamed=renamed, notifies=notifies
            )
            for _ in range(count)
        )
        return list(await asyncio.gather(*starts))

    async def kill(self, worker: Worker, why: str = "worker killed") -> None:
        """Kill a worker."""
        if worker.lives:
            await worker.kill()
            self.note(why)

    async def pause(self, worker: Worker, seconds: float) -> None:
        """Stop a worker's process for a while."""
        worker.signal(signal.SIGSTOP)
        since = time.time()
        self.note("worker stopped and continued")
        await self.while_looking(seconds)
        worker.signal(signal.SIGCONT)
        self.pauses.append(Pause(worker.pid, since, time.time()))

    async def restart_server(self, down: float = 0.0) -> None:
        """Kill the server, and start it again `down` seconds later."""
        self.server.kill()
        self.note("server killed")
        if down:
            await asyncio.sleep(down)
        await self.server.start()

    @contextlib.asynccontextmanager
    async def manned(self, count: int, notifiers: int = 0) -> AsyncGenerator[None]:
        """Keep `count` workers alive while the block is open: what dies is replaced.

        Besides them, as many processes that only notify.
        """
        keeper = asyncio.create_task(self._keep(count, notifiers))
        try:
            yield
        finally:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper

    async def _keep(self, count: int, notifiers: int) -> None:
        while True:
            for notifies, wanted in ((False, count), (True, notifiers)):
                there = sum(each.notifies == notifies for each in self.fleet.living)
                for _ in range(0 if self.deserted else wanted - there):
                    self.fleet.order(mutant=self.mutant, notifies=notifies)
            await asyncio.sleep(_POLL)

    # -- what is seen ----------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def telling(self) -> AsyncGenerator[None]:
        """Say on standard error how far it is, now and then, while the block is open."""
        teller = asyncio.create_task(self._tell())
        try:
            yield
        finally:
            teller.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await teller

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(_TELL)
            states = self.driver.history.states.values()
            over = sum(state.ended for state in states)
            faults = sum(self.faults.values())
            spent = time.monotonic() - self._began
            sys.stderr.write(
                f"{self.name}: {spent:.0f} s, {over} of {len(states)} runs over, "
                f"{len(self.driver.acked)} answers acked, {faults} faults\n"
            )

    def begun(self, effects: set[str]) -> dict[str, int]:
        """Which of these effects have begun, and in which process first."""
        entries = [entry for entry in self._ledger.read() if entry.effect in effects]
        return {entry.effect: entry.pid for entry in reversed(entries)}

    # -- waiting ---------------------------------------------------------------------------------

    async def while_looking(self, seconds: float) -> None:
        """Let time pass, answering what is asked meanwhile."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await self.driver.look()
            await asyncio.sleep(min(_POLL, max(0.0, until - time.monotonic())))

    async def until(self, holds: Callable[[], bool], within: float, what: str) -> None:
        """Wait for something, answering what is asked meanwhile. Raises Stuck, and Found."""

        def unless_found() -> bool:
            if self.is_found():
                raise Found
            return holds()

        await self.driver.until(unless_found, within, what)

    async def settle(self, within: float) -> Report:
        """Make no more faults, wait until all is over, and judge."""
        if not self.fleet.living:
            await self.start(2)
        within = min(within, self.patience)
        await self.driver.until_settled(self._is_settled, within)
        checker = self._checker()
        found = checker.violations() + self._witnessed()
        found += [Violation("wrong end", text) for text in self.fleet.unexpected]
        found += [Violation("wrong end", text) for text in self.complaints]
        found += [Violation("wrong end", f"driver: {e!r}") for e in self.driver.failures]
        if times := self.driver.refusals["StreamMissing"]:
            found.append(Violation("told that no stream is there", f"{times} times"))
        return report(
            self.name,
            self.seed,
            self.driver,
            found,
            faults=self.faults,
            fault_times=self.fault_times,
            seconds=time.monotonic() - self._began,
            repeated=checker.repeated,
            zombies=checker.zombies,
            raced=checker.raced,
        )

    async def _is_settled(self) -> bool:
        for witness in self.witnesses:
            await witness.look()
        return not self.violations() or self.is_found()

    def is_found(self) -> bool:
        """Whether one of the kinds that are sought is certain."""
        lasting = self.sought - PASSING
        return bool(lasting) and any(each.kind in lasting for each in self.violations())

    def violations(self) -> list[Violation]:
        """What is wrong by now."""
        return self._checker().violations() + self._witnessed()

    def _witnessed(self) -> list[Violation]:
        return [each for witness in self.witnesses for each in witness.violations()]

    def _checker(self) -> Checker:
        calm = not self.faults
        return Checker(self.driver, self._ledger.read(), self.pauses, calm=calm)


@contextlib.asynccontextmanager
async def campaign(
    name: str,
    folder: Path,
    *,
    seed: int = 1,
    ack_wait: float | None = None,
    ask_timeout: float = 3.0,
    sync_always: bool = False,
    mutant: str = "",
    extra: str = "",
    log_streams: int = 0,
) -> AsyncGenerator[Campaign]:
    """A campaign against one server of its own, all in `folder`."""
    async with (
        _shown(name, seed) as (board, there),
        EmbeddedServer(
            folder / "nats",
            sync_always=sync_always,
            extra=f"{extra}\n{logins.config(log_streams)}",
        ) as server,
        Fleet(
            folder,
            server.url,
            ack_wait=ack_wait or _ACK_WAITS.get(name, 1.5),
            ask_timeout=ask_timeout,
            log_streams=log_streams,
            crowded=name if name in CROWDED else "",
            board=board.url if board is not None else "",
            front=there.environ if there is not None else None,
        ) as fleet,
        provisioned(fleet, server.url),
        Driver.connected(server.url) as driver,
    ):
        one = Campaign(
            name=name, seed=seed, folder=folder, driver=driver, fleet=fleet, server=server
        )
        one.mutant, one.board, one.front = mutant, board, there
        async with one.telling():
            yield one


@contextlib.asynccontextmanager
async def _shown(name: str, seed: int) -> AsyncGenerator[tuple[Board | None, Front | None]]:
    """What the channels of the campaign `cards` talk to; nothing for the others."""
    if name != "cards":
        yield None, None
        return
    async with Board(seed) as board:
        with front() as there:
            yield board, there


@contextlib.asynccontextmanager
async def provisioned(fleet: Fleet, url: str) -> AsyncGenerator[None]:
    """The streams of the app are there, where workers may not create them."""
    if logins.apart():
        await fleet.provision(url)
    yield


Scenario = Callable[[Campaign], Awaitable[Report]]
