"""A channel of the app under test: all it is told goes to the campaign's board, over HTTP."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from layby.channels import Card, ChannelError, Desk, Inbound, Undeliverable
from layby.runtime.errors import LaybyError

BOARD: Final = "CHAOS_BOARD"
"""Environment variable: the address of the board."""
UNHEARD: Final = "CHAOS_UNHEARD"
"""Environment variable: the file of the calls whose callers were told nothing, or too late."""
LIMIT: Final = 2.0
"""Seconds that a call of a channel may take."""
REFUSED: Final = 410
LIMITED: Final = 429
_DONE: Final = 200
_PATIENCE: Final = 20.0
"""Seconds for one request of whoever listens."""
_CALLS = itertools.count(1)
_BROKEN = (aiohttp.ClientError, TimeoutError, OSError)


class Click(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody did on the board, as whoever listens is told it."""

    id: str
    ticket: str
    question: str
    role: str
    person: str
    answer: str


class BoardChannel:
    """One channel on the board. People answer there too."""

    def __init__(self, name: str) -> None:
        self.name = name

    def missing(self) -> str:
        """What this process lacks."""
        return "" if BOARD in os.environ else f"{BOARD} is not set"

    async def send(self, card: Card) -> str:
        """Pin a card to the board. Raises ChannelError, Undeliverable."""
        return await self._call("send", card.key, card)

    async def update(self, ref: str, card: Card) -> None:
        """Rewrite it. Raises ChannelError."""
        await self._call("update", ref, card)

    async def close(self, ref: str, card: Card) -> None:
        """Rewrite it. Raises ChannelError."""
        await self._call("close", ref, card)

    async def listen(self, desk: Desk) -> None:
        """Hand in what people click, until cancelled."""
        if self.name != "one":
            return await _for_ever()
        timeout = aiohttp.ClientTimeout(total=_PATIENCE)
        async with aiohttp.ClientSession(os.environ[BOARD], timeout=timeout) as http:
            while True:
                async with http.get("/clicks", params={"pid": os.getpid()}) as reply:
                    clicks = msgspec.json.decode(await reply.read(), type=list[Click])
                for click in clicks:
                    said = await _handed_in(desk, click)
                    if said is not None:
                        await http.post("/told", json=said)

    async def _call(self, what: str, ref: str, card: Card) -> str:
        id_ = f"{os.getpid()}.{next(_CALLS)}"
        try:
            text = await self._posted(id_, what, ref, card)
        except BaseException:  # cancelled, for instance, because it took too long
            _append(f"{id_}\n")
            raise
        return text

    async def _posted(self, id_: str, what: str, ref: str, card: Card) -> str:
        shown = msgspec.to_builtins(card)
        about = {"id": id_, "what": what, "ref": ref, "pid": os.getpid()}
        body = {**about, "at": time.time(), "card": shown}
        try:
            async with (
                aiohttp.ClientSession(os.environ[BOARD]) as http,
                http.post("/card", json=body) as reply,
            ):
                status, wait = reply.status, reply.headers.get("Retry-After")
                text = await reply.text()
        except _BROKEN as error:
            raise ChannelError(f"the board is not there: {type(error).__name__}") from None
        if status == REFUSED:
            raise Undeliverable("the board will never take it")
        if status != _DONE:
            raise ChannelError(
                f"the board says {status}", retry_after=float(wait) if wait else None
            )
        return text


async def _handed_in(desk: Desk, click: Click) -> dict[str, Any] | None:
    """What became of a click; None: it is not known, and the board shall ask again."""
    said = Inbound(
        ticket=click.ticket,
        question=click.question,
        role=click.role,
        person=click.person,
        answer=click.answer,
    )
    try:
        outcome = await desk.say(said, via="token")
    except LaybyError:
        return None
    return {"id": click.id, "outcome": outcome.outcome, "pid": os.getpid()}


def _append(line: str) -> None:
    with Path(os.environ[UNHEARD]).open("a") as file:
        file.write(line)


async def _for_ever() -> None:
    await asyncio.Event().wait()
