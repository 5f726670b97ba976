"""The support example on a real nats-server, with a model that tests can make worse."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from examples.support_agent.app import support, support_ticket
from examples.support_agent.offline import OfflineModel
from examples.support_agent.store import TicketStore
from layby import App
from layby.bus.connection import ConnectionSettings, connect
from layby.client import Client
from layby.models import Message, Model, ModelRequest, ModelResponse, Text, ToolCall
from layby.views.rows import QuestionRow, RunDetail, RunRow
from layby.worker.worker import working
from tests.command import Command
from tests.engine import WITHIN, until

ROOT = Path(__file__).parents[2]

OPENED = "support.ticket.created"
ENDED = {"completed", "failed", "timed_out", "max_turns", "cancelled"}

Act = Callable[[ModelRequest], ModelResponse | None]


class Script:
    """The example's offline model, but for what `act` answers; remembers every request."""

    name = "script"

    def __init__(self, act: Act | None = None) -> None:
        self.requests: list[ModelRequest] = []
        self._act = act

    async def respond(
        self, request: ModelRequest, on_text: Callable[[str], None] | None = None
    ) -> ModelResponse:
        self.requests.append(request)
        own = self._act(request) if self._act else None
        return own or await OfflineModel().respond(request, on_text)

    @property
    def routings(self) -> list[ModelRequest]:
        return [request for request in self.requests if routes(request)]

    @property
    def turns(self) -> list[ModelRequest]:
        return [request for request in self.requests if not routes(request)]


def routes(request: ModelRequest) -> bool:
    return any(tool.name == "route_to_agent" for tool in request.tools)


def offers(request: ModelRequest, tool: str) -> bool:
    return any(spec.name == tool for spec in request.tools)


def says(text: str) -> ModelResponse:
    return ModelResponse(
        message=Message(role="assistant", parts=[Text(text=text)]), stop_reason="end"
    )


def calls(name: str, **arguments: Any) -> ModelResponse:
    call = ToolCall(id=f"call_{name}", name=name, arguments=arguments)
    return ModelResponse(message=Message(role="assistant", parts=[call]), stop_reason="tool_use")


def read(request: ModelRequest) -> str:
    """All that a request tells its model, as text."""
    return "\n".join(str(part) for message in request.messages for part in message.parts)


class Desk:
    """A help desk: its tickets, its workers, and a client to look at both.

    `stranger` speaks with the server as somebody who does not know Layby would.
    """

    def __init__(
        self,
        settings: ConnectionSettings,
        folder: Path,
        client: Client,
        stranger: JetStreamContext,
    ) -> None:
        self.settings = settings
        self.stranger = stranger
        self.store = TicketStore(folder)
        self.client = client

    @classmethod
    @asynccontextmanager
    async def at(cls, url: str, folder: Path) -> AsyncGenerator[Desk]:
        """A desk on the server at `url` that keeps its tickets in `folder`."""
        settings = ConnectionSettings(servers=(url,))
        async with Client.connect(settings) as client, await connect(settings) as connection:
            yield cls(settings, folder, client, JetStreamContext(connection.nc))

    @asynccontextmanager
    async def worker(self, act: Act | None = None, **options: Any) -> AsyncGenerator[Script]:
        """A worker for the example; its model is a `Script` that asks `act` first."""
        script = Script(act)
        async with self.staffed(script, **options):
            yield script

    @asynccontextmanager
    async def staffed(
        self, model: Model, *, max_turns: int = 10, **options: Any
    ) -> AsyncGenerator[None]:
        """A worker for the example, as in production but for its model and limits."""
        network = replace(support, default_model=model, max_turns=max_turns)
        app = App("support", networks=[network], **options)
        app.workflow(on=OPENED, key="ticketId")(support_ticket)
        async with working(app, self.settings):
            yield

    async def crash(self, point: str) -> None:
        """Let a worker process, with the app as users start it, work until it dies at `point`."""
        process = Command(
            ["worker", "examples.support_agent:app"],
            folder=ROOT,
            environ={
                **os.environ,
                "NATS_URL": self.settings.servers[0],
                "LAYBY_DATA": str(self.store.file.parent),
                "LAYBY_CRASH": point,
            },
        )
        try:
            assert await asyncio.to_thread(process.wait, WITHIN) == -signal.SIGKILL
        finally:
            process.close()

    async def opened(self, ticket: str, event_id: str | None = None) -> None:
        await self.client.send(OPENED, {"ticketId": ticket}, event_id=event_id)

    async def questions(self, count: int = 1) -> list[QuestionRow]:
        """The open questions, once there are `count`."""

        async def look() -> list[QuestionRow]:
            found = await self.client.questions()
            return found if len(found) >= count else []

        return await until(look)

    async def ended(self, run: str) -> RunDetail:
        """A run, by its id or its ticket, once it is over."""

        async def look() -> RunDetail | None:
            rows = await self.client.runs()
            known = next((row for row in rows if run in {row.id, row.ticket}), None)
            return await self.client.show(known.id) if known and known.status in ENDED else None

        return await until(look)

    async def completed(self, count: int) -> list[RunRow]:
        """The runs that completed, once there are `count`; none before."""
        found = await self.client.runs("completed")
        return found if len(found) >= count else []

    async def solve(self, ticket: str, answer: str | None = None) -> RunDetail:
        """Open a ticket, answer its question, and see how its run ends."""
        await self.opened(ticket)
        if answer is not None:
            await self.questions()
            await self.client.answer(ticket, answer)
        return await self.ended(ticket)

    async def published(self, stream: str) -> bytes:
        """The first message of a stream, once it is there."""

        async def look() -> bytes | None:
            if not (await self.stranger.stream_info(stream)).state.messages:
                return None
            return (await self.stranger.get_msg(stream, 1)).data

        return await until(look)

    async def stored(self) -> str:
        """Everything that the server's streams hold, as text."""
        found: list[str] = []
        for info in await self.stranger.streams_info():
            for seq in range(max(1, info.state.first_seq), info.state.last_seq + 1):
                found += await self._message(info.config.name or "", seq)
        return "\n".join(found)

    async def _message(self, stream: str, seq: int) -> list[str]:
        try:
            message = cast("Any", await self.stranger.get_msg(stream, seq))  # half typed
        except NotFoundError:
            return []
        return [f"{message.subject} {message.headers} {(message.data or b'').decode()}"]
