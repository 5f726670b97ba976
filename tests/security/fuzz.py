"""The long form: `python -m tests.security.fuzz [--messages N] [--seed N]`, and
`--accounts`, `--encrypted`.

Sends messages of any bytes, drawn by hypothesis, on the subjects of every stream, bucket and
mailbox of an app that is at work, and sees that others go on. With `--accounts` outsiders have
logins in accounts of their own, and send under these; with `--encrypted` the app is encrypted. The
exit code is 1 when a promise was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import AsyncGenerator, Generator, MutableMapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import structlog
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from structlog._config import BoundLoggerLazyProxy

from layby import App, Keyring, Step
from layby.bus.errors import LaybyError
from layby.bus.server import EmbeddedServer
from layby.history import nats_history
from layby.runtime.state import UNENDED
from tests.engine import Engine, until

from .frames import Frame, frames
from .house import with_accounts
from .parties import Outsiders, Parties, new_ring

BATCH = 20
"""Messages that hypothesis draws at a time."""
PROBE = 500
"""Messages between two looks at whether others go on."""
PATIENCE = 180.0
"""Seconds until nothing is left in anybody's hands: an answer to a question that was published and
has no record is looked at for a minute, on a busy machine for two."""
ALARMS = frozenset(
    {
        "connection.lost",
        "connection.taker_failed",
        "child.died",
        "worker.failed",
        "blocked.not_looked",
    }
)
"""Lines of a worker's log that no message may cause."""
FORBIDDEN = (b"$JS.", b"$SYS.", b"layby.do.purge", b"layby.do.erase")
"""Beginnings of subjects that are commands to the server, that we do not want obeyed, or that wait
for another app's worker."""


class Report(msgspec.Struct, kw_only=True):
    """What came of it."""

    messages: int = 0
    refused: int = 0
    """Messages that the server itself refused."""
    letters: int = 0
    probes: list[float] = []
    """Seconds from an event to the end of its run, with a question and an awaited event."""
    events: Counter[str] = msgspec.field(default_factory=Counter[str])
    """Lines of the worker's log."""
    broken: list[str] = []

    def text(self) -> str:
        """For people."""
        probes = sorted(self.probes) or [0.0]
        at = {p: probes[min(len(probes) - 1, int(len(probes) * p))] for p in (0.5, 0.99)}
        told = ", ".join(f"{name} {count}" for name, count in sorted(self.events.items()))
        sent = f"{self.messages:,} messages, {self.refused:,} refused by the server"
        others = f"p50 {at[0.5]:.3f} s, p99 {at[0.99]:.3f} s, longest {probes[-1]:.3f} s"
        lines = [
            f"{sent}, {self.letters:,} dead letters",
            f"{len(self.probes)} others went on: {others}",
            f"log: {told}",
            *(f"BROKEN: {each}" for each in self.broken),
        ]
        return "\n".join(lines)


def desk(keyring: Keyring | None = None) -> App:
    """An app whose runs ask a person and wait for an event."""
    app = App("desk", events=["desk.said"], history=nats_history(), encryption=keyring)

    @app.workflow(on="desk.opened", key="ticket", name="handle")
    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        answer = await step.ask("developer", "Well?")
        await step.wait_for_event("desk.said", match="ticket")
        return answer.text

    @app.workflow(on="desk.other", key="ticket", name="waits", cancel_on="desk.said")
    async def waits(event: dict[str, Any], step: Step) -> str:
        del event
        await step.sleep("30d")
        return (await step.ask("developer", "And?")).text

    return app


def logins() -> str:
    """The server's configuration where outsiders have accounts of their own."""
    return with_accounts(desk())


class Campaign:
    """Sends to one server, and looks whether others go on."""

    def __init__(self, engine: Parties, outsiders: Outsiders) -> None:
        self.report = Report()
        self._engine = engine
        self._outsiders = outsiders
        self._since = 0
        self._probes = 0

    async def send(self, batch: list[Frame]) -> None:
        """Send some messages."""
        for frame in batch:
            if not frame.subject.startswith(FORBIDDEN) and not frame.reply.startswith(FORBIDDEN):
                await self._outsiders.publish(frame)
                self.report.messages += 1
        self._since += len(batch)
        if self._since < PROBE:
            self.report.refused += await self._outsiders.sent()
            return
        self._since = 0
        probe = asyncio.create_task(self.probe())
        self.report.refused += await self._outsiders.sent()
        await probe

    async def probe(self) -> None:
        """One ticket goes its way while all the rest is handled."""
        self._probes += 1
        ticket, begun = f"good-{self._probes}", time.monotonic()
        engine = self._engine
        try:
            async with asyncio.timeout(PATIENCE):
                run = await engine.start(ticket, on="desk.opened")
                question = (await until(lambda: engine.client.asked(ticket), PATIENCE))[0]
                receipt = await engine.answer(ticket, "yes", question_id=question.id)
                await engine.send("desk.said", ticket=ticket)
                result = await engine.result(run)
            if (receipt.outcome, result) != ("accepted", "yes"):
                self.report.broken.append(f"{ticket}: {receipt.outcome}, {result!r}")
        except Exception as error:  # noqa: BLE001  whatever it is, it is what we look for
            self.report.broken.append(f"{ticket}: {type(error).__name__}: {error}")
        else:
            self.report.probes.append(time.monotonic() - begun)

    async def nothing_left(self) -> None:
        """Every mailbox comes to its end: nothing is delivered again and again."""
        left: dict[str, Any] = {}

        async def look() -> bool:
            left.clear()
            for stream in ("EVENTS", "RUNS", "ANSWERS", "TIMERS", "AUDIT"):
                page = await self._engine.wire.api(f"CONSUMER.LIST.{stream}", {"offset": 0})
                consumers: list[dict[str, Any]] = page.get("consumers") or []
                for info in consumers:
                    if info["name"].startswith("look-"):
                        continue  # it is read while a worker is behind, and acknowledges nothing
                    if info["num_pending"] or info["num_ack_pending"]:
                        left[info["name"]] = (info["num_pending"], info["num_ack_pending"])
            return not left

        try:
            await until(look, PATIENCE)
        except TimeoutError:
            self.report.broken.append(f"never finished: {left}")

    async def commands(self, runs: list[str]) -> None:
        """Every command looks at what is there now."""
        client = self._engine.client
        looks: list[tuple[str, Any]] = [
            ("runs", client.runs(limit=10_000)),
            ("questions", client.questions()),
            ("doctor", client.doctor()),
            ("dead", client.dead()),
            ("runs of T1", client.runs(ticket="T1", limit=10_000)),
            ("asked", client.asked("T1")),
            ("thread", desk_history(self._engine).load("T1")),
        ]
        if not self._engine.apart:  # it writes what no operator may
            looks.append(("migrate", client.migrate()))
        for name, look in looks:
            try:
                found = await look
            except Exception as error:  # noqa: BLE001
                self.report.broken.append(f"{name}: {type(error).__name__}: {error}")
            else:
                if name == "dead":
                    self.report.letters = len(found)
        for run in runs:
            for name, look in (("show", client.show), ("cancel", client.cancel)):
                try:
                    with suppress(LaybyError):  # a refusal, in words
                        await look(run)
                except Exception as error:  # noqa: BLE001
                    self.report.broken.append(f"{name}: {type(error).__name__}: {error}")
        await self._ended(runs)
        try:
            with suppress(LaybyError):
                await client.purge(0)
        except Exception as error:  # noqa: BLE001
            self.report.broken.append(f"purge: {type(error).__name__}: {error}")

    async def _ended(self, runs: list[str]) -> None:
        """Every run has come to an end, whatever was written into its log: it was cancelled."""
        left: dict[str, str] = {}

        async def look() -> bool:
            found: dict[str, str] = {}
            for run in runs:
                status = (await self._engine.client.show(run)).status
                if status in UNENDED:
                    found[run] = f"{status}, {await self._refusal(run)}"
            left.clear()
            left.update(found)
            return not left

        try:
            await until(look, PATIENCE)
        except TimeoutError:
            self.report.broken.append(f"cannot be ended: {left}")
        except Exception as error:  # noqa: BLE001
            self.report.broken.append(f"ends: {type(error).__name__}: {error}")

    async def _refusal(self, run: str) -> str:
        """Cancel a run again; why it is not."""
        try:
            await self._engine.client.cancel(run)
        except LaybyError as error:
            return f"{type(error).__name__}: {error}"
        return "cancelled"


def desk_history(engine: Engine) -> Any:
    """The app's threads, read over another connection."""
    return nats_history().over(engine.wire)


class _Alarm(logging.Handler):
    """Counts what libraries say of faults."""

    def __init__(self, report: Report) -> None:
        super().__init__(logging.ERROR)
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        self._report.broken.append(f"{record.name}: {record.getMessage()}"[:300])


@asynccontextmanager
async def _watched(report: Report) -> AsyncGenerator[None]:
    """The worker's log is counted, and faults in it are noted."""

    def count(_: Any, __: str, event: MutableMapping[str, Any]) -> Any:
        report.events[str(event["event"])] += 1
        if event["event"] in ALARMS:
            report.broken.append(f"the worker's log: {event}"[:500])
        raise structlog.DropEvent

    alarm = _Alarm(report)
    logging.getLogger().addHandler(alarm)
    before = structlog.get_config()
    structlog.configure(processors=[count], cache_logger_on_first_use=False)
    _uncache()
    try:
        yield
    finally:
        structlog.configure(**before)
        logging.getLogger().removeHandler(alarm)


def _uncache() -> None:
    """Have loggers that were used before, in other tests, look at how logging is set up now."""
    for module in list(sys.modules.values()):
        logger = getattr(module, "log", None)
        if isinstance(logger, BoundLoggerLazyProxy):
            vars(logger).pop("bind", None)


async def _victims(engine: Engine) -> list[str]:
    """Runs that wait, whose logs are what is written into."""
    runs = [await engine.start(f"T{n}", on="desk.opened") for n in range(1, 4)]
    runs += [await engine.start(f"T{n}", on="desk.other", workflow="waits") for n in range(4, 6)]
    await engine.questions(3)
    return runs


def campaign(
    url: str,
    messages: int,
    seed: int,
    say: Any = None,
    *,
    apart: bool = False,
    encrypted: bool = False,
) -> Report:
    """Send `messages` to the server at `url`, which is clean.

    Args:
        url: The server.
        messages: How many.
        seed: What they are drawn by.
        say: Told of the progress.
        apart: The server has the accounts of `logins()`.
        encrypted: The app is encrypted.
    """
    ring = new_ring() if encrypted else None
    with asyncio.Runner() as runner:

        async def whole() -> Report:
            async with Parties.among(url, apart=apart, keyring=ring) as engine:
                outsiders = Outsiders(engine.settings, apart=apart)
                todo = Campaign(engine, outsiders)
                async with _watched(todo.report), engine.works(desk(ring)):
                    runs = await _victims(engine)
                    await _drawn(todo, runs, messages, seed, say)
                    await todo.probe()
                    await todo.nothing_left()
                    await todo.commands(runs)
                async with _watched(todo.report), engine.works(desk(ring)):
                    await todo.probe()  # a worker starts all the same
                await outsiders.close()
                return todo.report

        return runner.run(whole())


async def _drawn(todo: Campaign, runs: list[str], messages: int, seed: int, say: Any) -> None:
    """Have hypothesis draw batches on a thread of its own, and send them."""
    loop = asyncio.get_running_loop()

    @seeded(seed)
    @settings(
        max_examples=-(-messages // BATCH),
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.lists(frames(runs), min_size=BATCH, max_size=BATCH))
    def draw(batch: list[Frame]) -> None:
        asyncio.run_coroutine_threadsafe(todo.send(batch), loop).result()
        if say is not None and todo.report.messages % 5_000 < BATCH:
            say(f"{todo.report.messages:,} messages, {len(todo.report.broken)} broken")

    with _steady_limit():
        await asyncio.to_thread(draw)


@contextmanager
def _steady_limit() -> Generator[None]:
    """Keep hypothesis from changing the process's recursion limit on a thread of its own.

    A limit that is lowered while the worker decodes something deep ends the process (CPython 3.11).
    """
    change = sys.setrecursionlimit
    sys.setrecursionlimit = lambda _: None
    try:
        yield
    finally:
        sys.setrecursionlimit = change


def main() -> int:
    """Run the campaign; 0: every promise was kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--accounts", action="store_true", help="outsiders in their own accounts")
    parser.add_argument("--encrypted", action="store_true", help="an app that is encrypted")
    options = parser.parse_args()

    warnings.simplefilter("ignore")  # of what it takes to print a strategy

    def say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedServer(Path(folder), extra=logins() if options.accounts else "")
        asyncio.run(server.start())
        try:
            report = campaign(
                server.url,
                options.messages,
                options.seed,
                say,
                apart=options.accounts,
                encrypted=options.encrypted,
            )
        finally:
            server.kill()
    say(report.text())
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
