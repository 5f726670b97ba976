"""A console beside everything that dies: what it shows, streams and acknowledges must be true."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable

from layby.bus.errors import BusError
from layby.bus.log import Log
from layby.bus.log_subject import parse, shares
from layby.client import Client, CommandRefused, NotDoneYet
from layby.health.traffic import traffic
from tests.fix_proxy import Proxy
from tests.http_api import Api

from . import keys, logins
from .app import Op
from .campaign import Campaign
from .driver import Stuck
from .fleet import Door, Fleet, Worker
from .plan import Ticket, batches, plans
from .reader import LOST, Follower, closed, is_live, lists, threads
from .report import Report
from .truth import Commands, Shown, disagreements, strayed
from .violation import Violation
from .web_people import WebPeople

_SETTLE = 40.0
_OVER = 30.0
_STANDS = 100_000
"""Numbers of tickets that nobody answers."""
_HOURS = 4 * 3600.0
_ALL = 1_000_000
_AGE = 2.0
"""Seconds after its end from which on a run is removed: its row may come half a second late."""


class Desk:
    """A console that dies and comes back, its readers, and those who answer there."""

    def __init__(self, c: Campaign, fleet: Fleet, proxy: Proxy, client: Client) -> None:
        self._c = c
        self._fleet = fleet
        self._client = client
        self._console: Worker | None = None
        self._door = Door("", "")
        self._shown: Shown | None = None
        self.proxy = proxy
        """What is between the console and the server."""
        self.follower = Follower(self.api)
        self.people = WebPeople(c.driver, self.api)

    def api(self) -> Api:
        """The console that runs now, or the last one."""
        return Api(self._door)

    async def start(self) -> None:
        """Start a console, with the file that the last one had."""
        file = str(self._c.folder / "catalogue.sqlite")
        console = await self._fleet.start(catalogue=file, mutant=self._c.mutant, url=self.proxy.url)
        assert console.door is not None, "the console did not start"
        self._console, self._door = console, console.door

    async def restart(self) -> None:
        """Kill the console, and start another."""
        assert self._console is not None
        await self._c.kill(self._console, "console killed")
        await self.start()

    # -- what is shown ---------------------------------------------------------------------------

    async def look(self) -> None:
        """Read everything that people can see; the details once the lists are right."""
        try:
            api = self.api()
            self._shown = Shown(await is_live(api), await lists(api))
            if not self.violations():
                self._shown = self._shown._replace(
                    closed=await closed(api),
                    commands=await self._said(),
                    threads=await threads(api, self._asked()),
                )
        except (BusError, *LOST):
            self._shown = None

    def _asked(self) -> list[str]:
        """The questions of runs that stay.

        One that was answered or withdrawn before it was shown is nowhere but in its log.
        """
        history, purged = self._c.driver.history, self._c.driver.purged
        stays = [state for run, state in history.states.items() if run not in purged]
        asked = [question for state in stays for question in state.questions]
        return [each for each in asked if each in history.questions]

    async def _said(self) -> Commands:
        runs = await self._client.runs(limit=_ALL)
        details = {row.id: await self._client.show(row.id) for row in runs}
        return Commands(runs, await self._client.questions(), details)

    def violations(self) -> list[Violation]:
        """What is wrong with what was shown, streamed and acknowledged."""
        found = [Violation("wrong end", f"console: {text}") for text in self._fleet.unexpected]
        found += self.people.violations()
        if self._shown is None:
            return [*found, Violation("catalogue disagrees with the log", "it cannot be read")]
        driver = self._c.driver
        found += disagreements(self._shown, driver.history, driver.purged)
        found += strayed(self.follower.lists, self._shown.lists)
        return found

    async def until_followed(self) -> None:
        """Wait until who follows the feed has what the lists have."""

        async def followed() -> bool:
            with contextlib.suppress(*LOST):
                api = self.api()
                return await is_live(api) and not any(
                    strayed(self.follower.lists, await lists(api))
                )
            return False

        await self._until(followed)

    async def until_listed(self, tickets: list[Ticket]) -> None:
        """Wait until the lists say that the runs of these tickets are over."""
        wanted = {ticket.id for ticket in tickets}

        async def listed() -> bool:
            with contextlib.suppress(*LOST):
                runs = (await lists(self.api())).runs.values()
                return wanted <= {row.ticket for row in runs if row.ended_at is not None}
            return False

        await self._until(listed)

    async def _until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Wait no longer than patience goes: what has not come is for the verdict."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(_OVER, self._c.patience / 3)):
                while not await holds():
                    await self._c.while_looking(0.05)

    # -- what is removed -------------------------------------------------------------------------

    async def _is_quiet(self) -> bool:
        """Whether no worker is amid a mail: who ends a run writes its row after that."""
        found = await traffic(self._c.driver.requests)
        return all(box.is_idle for box in found.mailboxes)

    async def purge(self) -> None:
        """Have the runs removed that have ended, and leave no marker of them.

        As if the console had been away for longer than the minute that markers last.
        """
        await self._until(self._is_quiet)
        with contextlib.suppress(NotDoneYet, CommandRefused):
            await self._client.purge(_AGE, by=logins.OPERATOR, reason="chaos")
        driver = self._c.driver
        requests = driver.requests
        left: set[str] = set()
        for stream in shares(await Log(requests).streams()):
            info = await requests.api(f"STREAM.INFO.{stream}", {"subjects_filter": ">"})
            subjects: dict[str, int] = info["state"].get("subjects") or {}
            left |= {parse(subject)[1] for subject in subjects}
        driver.purged |= driver.history.states.keys() - left
        for run in driver.purged:
            ticket = driver.history.states[run].ticket
            for bucket, key in (("runs", f"{ticket}.*"), ("questions", f"*.{ticket}.*")):
                about = {"filter": f"$KV.{bucket}.{key}"}
                await requests.api(f"STREAM.PURGE.KV_{bucket}", about)


@contextlib.asynccontextmanager
async def desk(c: Campaign) -> AsyncGenerator[Desk]:
    """A console behind a network of its own, with its readers."""
    proxy, settings = Proxy(c.server.url), logins.settings(c.server.url, logins.OPERATOR)
    await proxy.start()
    try:
        async with (
            Fleet(c.folder / "console", proxy.url) as fleet,
            Client.connect(settings, keyring=keys.keyring()) as client,
        ):
            made = Desk(c, fleet, proxy, client)
            await made.start()
            c.witnesses.append(made)
            c.driver.also.append(made.people.answer)
            async with made.follower.following():
                yield made
    finally:
        await proxy.stop()


async def console(c: Campaign, *, rounds: int = 5, tickets: int = 4, standing: int = 3) -> Report:
    """Workers, the server and the console are killed; the console is cut off, and its reader."""
    await c.start(2)
    async with desk(c) as it:
        for n in range(1, standing + 1):
            await c.driver.send(_unanswered(_STANDS + n))
        todo = plans(c.seed, rounds * tickets + 3 * tickets)
        batch = batches(todo, rounds + 3)
        async with c.manned(2):
            for number in range(rounds):
                c.driver.open(*next(batch))
                await c.while_looking(c.draw.uniform(0.2, 0.8))
                await _FAULTS[number % len(_FAULTS)](c, it)
        await _cut_off(c, it, next(batch), next(batch))
        await _left_behind(c, it, next(batch))
        report = await c.settle(_SETTLE)
    report.notes.append(
        f"{len(it.people.told)} answers over HTTP; {it.follower.resets} times the feed began anew"
    )
    return report


def _unanswered(n: int) -> Ticket:
    """A ticket whose run waits for people to the end."""
    ask = Op(kind="ask", name="1-ask", seconds=_HOURS)
    return Ticket(n=n, ops=[Op(kind="step", name="0-step"), ask])


async def _cut_off(c: Campaign, it: Desk, before: list[Ticket], after: list[Ticket]) -> None:
    """Runs go on, end and are removed while the console hears nothing."""
    c.driver.open(*before)
    await _over(c)
    it.people.away = True
    await it.proxy.stop()
    c.note("console's network gone")
    await it.purge()
    c.driver.open(*after)
    await _over(c)
    await it.proxy.start()
    it.people.away = False


async def _left_behind(c: Campaign, it: Desk, tickets: list[Ticket]) -> None:
    """Runs go on and end while nobody follows the feed; who did comes back then."""
    await it.until_followed()
    await it.follower.leave()
    c.note("reader of the feed cut off")
    c.driver.open(*tickets)
    await _over(c)
    await it.until_listed(tickets)
    it.follower.come_back()


async def _over(c: Campaign) -> None:
    """Wait until all that was opened is over; what is not is for the verdict."""
    with contextlib.suppress(Stuck):
        await c.until(c.driver.all_over, min(_OVER, c.patience), "all runs end")


async def _kill_worker(c: Campaign, it: Desk) -> None:
    del it
    ready = [worker for worker in c.fleet.living if worker.ready.is_set()]
    if ready:
        await c.kill(c.draw.choice(ready))


async def _kill_console(c: Campaign, it: Desk) -> None:
    del c
    await it.restart()


async def _kill_server(c: Campaign, it: Desk) -> None:
    del it
    await c.restart_server(c.draw.choice([0.0, 0.5]))


async def _cut_console(c: Campaign, it: Desk) -> None:
    c.note("console's network cut")
    it.proxy.cut()


async def _cut_reader(c: Campaign, it: Desk) -> None:
    c.note("reader of the feed cut off")
    await it.follower.leave()
    await c.while_looking(c.draw.uniform(0.1, 0.4))
    it.follower.come_back()


_FAULTS = (_kill_worker, _kill_console, _kill_server, _cut_console, _cut_reader)
