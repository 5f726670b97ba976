"""The engine as tests see it: workers in this process, a client, and the logs themselves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec

from layby import Agent, App, Keyring, Network
from layby.actors.networks.router import Router, RoutingAgent
from layby.actors.people.answer import Receipt
from layby.bus.blobs import Blobs
from layby.bus.connection import Connection, ConnectionSettings
from layby.bus.errors import BusError
from layby.bus.log import Log
from layby.bus.opened import opened
from layby.bus.requests import Requests
from layby.bus.token import encode
from layby.client import Client
from layby.runtime.ids import run_id
from layby.runtime.run import LiveRun
from layby.runtime.state import Block, RunState
from layby.runtime.worker import Worker
from layby.testing.wake_ups import first, wake_ups
from layby.views.rows import QuestionRow, TimelineLine
from layby.worker.worker import working
from tests.scripted import Scripted
from tests.waiting import pauses

T = TypeVar("T")

ON = "desk.opened"
WORKFLOW = "handle"
WITHIN = 30.0
"""Seconds that anything may take on a loaded machine."""

WorkflowFunction = Callable[..., Awaitable[Any]]


class Engine:
    """A server, whoever works there, and a client that looks on."""

    def __init__(
        self, settings: ConnectionSettings, client: Client, connection: Connection, wire: Requests
    ) -> None:
        self.settings = settings
        self.client = client
        self.connection = connection
        self.wire = wire
        self.log = Log(wire)

    @classmethod
    @asynccontextmanager
    async def at(cls, url: str, keyring: Keyring | None = None) -> AsyncGenerator[Engine]:
        settings = ConnectionSettings(servers=(url,))
        async with (
            Client.connect(settings, keyring=keyring) as client,
            opened(settings, patient=True, keyring=keyring) as bus,
        ):
            yield cls(settings, client, bus.connection, bus.requests)

    @asynccontextmanager
    async def works(self, app: App) -> AsyncGenerator[Worker]:
        """One more worker for `app`."""
        async with working(app, self.settings, listed_after=0.02) as worker:
            yield worker

    # -- runs ----------------------------------------------------------------------------------

    async def start(
        self,
        ticket: str = "T1",
        *,
        on: str = ON,
        workflow: str = WORKFLOW,
        event_id: str = "",
        **fields: Any,
    ) -> str:
        """Send an event; the id of the run that it will start."""
        event_id = event_id or uuid.uuid4().hex
        await self.client.send(on, {"ticket": ticket, **fields}, event_id=event_id)
        return run_id(workflow, event_id)

    async def state(self, run: str) -> RunState:
        """What the log says of a run."""
        live = LiveRun(self.log, RunState(id=run))
        await live.catch_up()
        return live.state

    async def told(self, run: str, *kinds: str) -> TimelineLine:
        """The first line of one of these kinds, once it is told."""
        async with asyncio.timeout(WITHIN):
            async for line in self.client.follow(run, wait=True):
                if line.kind in kinds:
                    return line
        raise AssertionError(f"the run ended without {kinds}")

    async def ended(self, run: str) -> RunState:
        """The run once it is over."""
        await self.lines(run)  # to the last end, where it was reopened
        return await self.state(run)

    async def blocked(self, run: str, *, but: str = "") -> Block:
        """What a run is blocked by, once it is; `but` for another reason than that."""

        async def look() -> list[Block]:
            found = [each for _, each in (await self.state(run)).blocked]
            return [each for each in found if not but or but not in each.reason]

        return (await until(look))[0]

    async def result(self, run: str) -> Any:
        """What a run returned; it must have completed."""
        state = await self.ended(run)
        assert state.status == "completed", f"{state.status}: {state.error}"
        return msgspec.json.decode(await Blobs(self.wire).inflate(state.result))

    async def lines(self, run: str) -> list[TimelineLine]:
        """The whole story of a run that is over."""
        async with asyncio.timeout(WITHIN):
            return [line async for line in self.client.follow(run, wait=True)]

    async def hurry(self, run: str) -> None:
        """Let the next deadline, sleep or back-off of a run come now."""
        found = first(wake_ups(await self.state(run)), None)
        assert found is not None, "it waits for nothing that comes by itself"
        subject = self.wire.names.subject(f"due.early-{uuid.uuid4().hex}")
        await self.wire.store(subject, msgspec.json.encode(found.body))

    async def due(self, count: int = 1) -> None:
        """Return when so many wake-ups have fired and nobody has taken them."""

        async def look() -> bool:
            info = await self.wire.api("STREAM.INFO.TIMERS", {"subjects_filter": "due.>"})
            return len(info["state"].get("subjects") or {}) >= count

        await until(look)

    # -- people --------------------------------------------------------------------------------

    async def questions(self, count: int = 1, *, run: str = "") -> list[QuestionRow]:
        """The open questions in the order they were asked, once there are `count`."""

        async def look() -> list[QuestionRow]:
            found = [q for q in await self.client.questions() if run in {"", q.run}]
            return sorted(found, key=lambda q: q.asked_at) if len(found) >= count else []

        return await until(look)

    async def question(self, *, run: str = "") -> QuestionRow:
        """The open question, once it is there."""
        return (await self.questions(run=run))[0]

    async def answer(self, ticket: str = "T1", text: str = "yes", **more: Any) -> Receipt:
        return await self.client.answer(ticket, text, timeout=WITHIN, **more)

    async def say(
        self, body: bytes | str | dict[str, Any], *, ticket: str = "T1", responder: str = ""
    ) -> Receipt:
        """Answer as somebody who knows NATS alone; the receipt."""
        token = encode(ticket)
        sub = await self.connection.nc.subscribe(f"developer.receipt.{token}")
        try:
            await self.connection.nc.flush()
            seq = await self.drop(body, ticket=ticket, responder=responder)
            async with asyncio.timeout(WITHIN):
                while True:
                    receipt = msgspec.json.decode((await sub.next_msg(WITHIN)).data, type=Receipt)
                    if receipt.seq == seq:
                        return receipt
        finally:
            await sub.unsubscribe()

    async def drop(
        self, body: bytes | str | dict[str, Any], *, ticket: str = "T1", responder: str = ""
    ) -> int:
        """Answer and look for no receipt; the answer's sequence."""
        data = json.dumps(body) if isinstance(body, dict) else body
        subject = f"developer.response.{encode(ticket)}{'.' if responder else ''}{responder}"
        ack = await self.wire.store(subject, data.encode() if isinstance(data, str) else data)
        return ack.seq


class TooSlow(Exception):
    """The machine took longer for what had to be done before a deadline of the test's own."""


async def in_time(attempt: Callable[[str, float], Awaitable[T]], seconds: float) -> T:
    """What `attempt` returns on a ticket with a time-out that was long enough for it.

    A test that must do something before a deadline, and then wait for that, cannot know how long a
    loaded machine takes. It begins with `seconds`, and raises TooSlow when it was too late: then it
    gets another ticket and twice the time.
    """
    for number in range(6):
        try:
            return await attempt(f"T{number + 1}", seconds * 2**number)
        except TooSlow:
            pass
    raise AssertionError(f"it took longer than {seconds * 2**5:g} s each time")


async def until(look: Callable[[], Awaitable[T | None]], within: float = WITHIN) -> T:
    """What `look` finds, once it finds something."""
    pause = pauses()
    async with asyncio.timeout(within):
        while not (found := await look()):  # noqa: ASYNC110
            await asyncio.sleep(next(pause))
        return found


async def is_handled(wire: Requests, *consumers: str) -> bool:
    """Whether these consumers (`RUNS.human-lead`) have acknowledged all that is for them.

    A server counts what waits for a consumer a moment after it has stored it, so `num_pending`
    alone may lack what was acknowledged to its publisher just now.
    """
    for each in consumers:
        stream, _, _ = each.partition(".")
        info = await wire.api(f"CONSUMER.INFO.{each}")
        if info["num_pending"] or info["num_ack_pending"]:
            return False
        config = info["config"]
        for subject in config.get("filter_subjects") or [config.get("filter_subject") or ">"]:
            last = await wire.stored(stream, last=subject)
            if last is not None and last.seq > info["delivered"]["stream_seq"]:
                return False
    return True


async def until_done(action: Callable[[], Awaitable[T]], within: float = 2 * WITHIN) -> T:
    """What `action` returns once the server can do it; a cluster that elects leaders cannot."""
    async with asyncio.timeout(within):
        while True:
            with contextlib.suppress(BusError):
                return await action()
            await asyncio.sleep(0.05)


def app_of(
    fn: WorkflowFunction, *networks: Network[Any], on: str = ON, version: str = "", **options: Any
) -> App:
    """An app with one workflow."""
    app = App("desk", networks=networks, **options)
    app.workflow(on=on, key="ticket", name=WORKFLOW, version=version)(fn)
    return app


def desk(
    *agents: Agent | Network[Any],
    router: Router | RoutingAgent | None = None,
    model: Scripted | None = None,
    max_turns: int = 10,
    state: dict[str, Any] | None = None,
    **options: Any,
) -> App:
    """An app whose one workflow lets one network work; the run's result says what it did."""
    network = Network(
        "team", agents=agents, router=router or once, default_model=model, max_turns=max_turns
    )

    async def handle(event: dict[str, Any], step: Any) -> dict[str, Any]:
        found = await step.network(network, f"Ticket {event['ticket']}", state=state)
        return {
            "text": found.text,
            "state": found.state,
            "turns": [[turn.agent, turn.text, turn.stop] for turn in found.turns],
            "usage": found.usage.input_tokens,
            "calls": [
                [call.name, call.content, call.is_error]
                for turn in found.turns
                for call in turn.calls
            ],
        }

    return app_of(handle, network, **options)


def once(route: Any) -> str | None:
    """A router: the first agent takes one turn."""
    return None if route.turns else next(iter(route.agents))


def names(agents: Sequence[Agent]) -> list[str]:
    return [agent.name for agent in agents]
