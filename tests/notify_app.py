"""An app with a channel on which people answer: lines of JSON to a port of this process.

The process writes its port to a file in the folder that a variable names, under its process id.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import msgspec

from layby import App, Role, Step
from layby.channels import Card, Desk, Inbound, Outcome

PORTS = "LAYBY_TEST_PORTS"
"""The variable with the path of the folder."""


class Phone:
    """A channel: a line with an `Inbound` is answered by a line with its `Outcome`."""

    name = "phone"

    def missing(self) -> str:
        """What this process lacks."""
        return "" if PORTS in os.environ else f"{PORTS} is not set"

    async def send(self, card: Card) -> str:
        """Write down that it was sent."""
        file = Path(os.environ[PORTS]) / "sent"
        await asyncio.to_thread(_append, file, f"{os.getpid()} {card.question}")
        return card.key

    async def update(self, ref: str, card: Card) -> None:
        """Nothing to do."""

    async def close(self, ref: str, card: Card) -> None:
        """Nothing to do."""

    async def listen(self, desk: Desk) -> None:
        """Take calls until cancelled."""

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while line := await reader.readline():
                outcome = await _said(desk, line)
                writer.write(msgspec.json.encode(outcome) + b"\n")
            writer.close()

        server = await asyncio.start_server(take, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        _append(Path(os.environ[PORTS]) / f"{os.getpid()}.port", str(port))
        async with server:
            await server.serve_forever()


class Broken(Phone):
    """A channel that never listens for long."""

    name = "broken"

    async def send(self, card: Card) -> str:
        """Nothing to do."""
        return card.key

    async def listen(self, desk: Desk) -> None:
        """Break."""
        del desk
        raise RuntimeError("no dial tone")


async def _said(desk: Desk, line: bytes) -> Outcome:
    try:
        said = msgspec.json.decode(line, type=Inbound)
        return await desk.say(said, via="token")
    except Exception as error:  # noqa: BLE001  the caller is told
        return Outcome(outcome="error", reason=repr(error))


def _append(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(f"{line}\n")


PHONE = Phone()
app = App(
    "called",
    roles=[
        Role("developer", people=["ada", "bob"], channels=[PHONE, Broken()]),
        Role("lead", channels=[PHONE]),
    ],
)


@app.workflow(on="called.asked", key="ticket", name="called")
async def ask(event: dict[str, Any], step: Step) -> list[str]:
    """Ask once."""
    answer = await step.ask(event.get("role", "developer"), "Known?", timeout="2h")
    return [answer.text, answer.by, answer.vouched]


def line_of(said: dict[str, Any]) -> bytes:
    """What is sent to the port."""
    return json.dumps(said).encode() + b"\n"
