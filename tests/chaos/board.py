"""The board: a channel that fails, hangs and answers late, by a seed, and forgets nothing.

It is a server of the campaign's own process, which no fault kills: it is told everything that any
worker sends, and so knows what people saw.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self

import msgspec
from aiohttp import web

from .board_channel import LIMIT, LIMITED, REFUSED, Click
from .crowd import MUTE

_FATES: Final = ("done", "slow", "busy", "limited", "hangs", "late", "lost")
_WEIGHTS: Final = (60, 12, 6, 3, 4, 6, 6)
_UNDONE: Final = frozenset({"busy", "limited", "hangs", "refused", "down"})
UNTOLD: Final = frozenset({"late", "lost"})
"""What becomes of a call that is carried out, and whose caller is not told in time."""
_MOST: Final = 2
"""Calls in a row that do not succeed, for one card and one verb."""
_REFUSES: Final = 0.65
"""The share of the cards to a role that refuses some."""
_AGAIN: Final = 6.0
"""Seconds after which a click is handed to somebody else."""
_TWICE: Final = 0.25
"""The share of the clicks that are handed out twice at once."""
_POLL: Final = 0.02
_LISTENS: Final = 1.0


@dataclass
class Call:
    """Something that a worker told the board."""

    what: str
    key: str
    ref: str
    """Of a card that was sent: what the board called it."""
    pid: int
    id: str
    began: float
    """When its caller sent it: on a busy machine the board may read it much later."""
    fate: str
    card: dict[str, Any]
    done: float = 0.0
    """When people could see it; 0: never."""


@dataclass
class Clicked:
    """Something that a person did, and what they were told."""

    click: Click
    handed: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])
    """When it was given to which process."""
    told: list[str] = field(default_factory=list[str])


class Board:
    """Serves the channels of the app, and the people who look at them."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.url = ""
        self.calls: list[Call] = []
        self.shown: dict[str, dict[str, Any]] = {}
        """What people see: the last state of each card, by what the board called it."""
        self.clicks: dict[str, Clicked] = {}
        self.is_down = False
        """Whether it takes nothing at present."""
        self.downs: list[tuple[float, float]] = []
        """When it was down, Unix seconds, in order."""
        self._ids = itertools.count(1)
        self._sent = Counter[str]()
        self._failed = Counter[tuple[str, str]]()
        self._tried = Counter[tuple[str, str]]()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/card", self._card)
        app.router.add_get("/clicks", self._clicks)
        app.router.add_post("/told", self._told)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @contextmanager
    def down(self) -> Generator[None]:
        """Take nothing while the block runs."""
        since, self.is_down = time.time(), True
        try:
            yield
        finally:
            self.is_down = False
            self.downs.append((since, time.time()))

    # -- what workers tell it ------------------------------------------------------------------

    async def _card(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = msgspec.json.decode(await request.read())
        card, what = body["card"], body["what"]
        key: str = card["key"]
        fate = self._fate(what, card)
        call = Call(what, key, body["ref"], body["pid"], body["id"], body["at"], fate, card)
        self.calls.append(call)
        if call.fate in _UNDONE:
            return await self._undone(call)
        if call.fate == "slow":
            await asyncio.sleep(random.Random(f"{self._seed}/{key}").uniform(0.1, 0.7))  # noqa: S311
        self._carry_out(call)
        if call.fate == "late":
            await asyncio.sleep(LIMIT + 0.3)
        if call.fate == "lost":
            return web.Response(status=502)
        return web.Response(text=call.ref)

    def _fate(self, what: str, card: dict[str, Any]) -> str:
        key: str = card["key"]
        place = key, what
        self._tried[place] += 1
        if self.is_down:
            return "down"
        if what == "send" and refuses(self._seed, card):
            return "refused"
        draw = random.Random(f"{self._seed}/{key}/{what}/{self._tried[place]}")  # noqa: S311
        [fate] = draw.choices(_FATES, _WEIGHTS)
        is_good = fate in {"done", "slow"} or self._failed[place] >= _MOST
        self._failed[place] = 0 if is_good else self._failed[place] + 1
        return (fate if fate in {"done", "slow"} else "done") if is_good else fate

    async def _undone(self, call: Call) -> web.Response:
        if call.fate == "hangs":
            await asyncio.sleep(LIMIT + 1.0)
        status = {"refused": REFUSED, "limited": LIMITED}.get(call.fate, 503)
        headers = {"Retry-After": "0.7"} if call.fate == "limited" else None
        return web.Response(status=status, headers=headers)

    def _carry_out(self, call: Call) -> None:
        """Show it: from now on people see it, whoever hears of that."""
        if call.what == "send":
            self._sent[call.key] += 1
            call.ref = f"{call.key}#{self._sent[call.key]}"
        call.done = time.time()
        self.shown[call.ref] = call.card

    # -- what people do there --------------------------------------------------------------------

    def cards_of(self, question: str) -> list[dict[str, Any]]:
        """The cards of a question that people see."""
        return [card for card in self.shown.values() if card["question"] == question]

    def click(self, card: dict[str, Any], person: str, answer: str) -> None:
        """Somebody answers on a card."""
        click = Click(
            id=f"c{next(self._ids)}",
            ticket=card["ticket"],
            question=card["question"],
            role=card["role"],
            person=person,
            answer=answer,
        )
        self.clicks[click.id] = Clicked(click)

    async def _clicks(self, request: web.Request) -> web.Response:
        """What people did, for one that listens: each is handed out until somebody says more."""
        pid = int(request.query["pid"])
        until = time.monotonic() + _LISTENS
        while not (due := [each for each in self.clicks.values() if self._is_due(each)]):
            if time.monotonic() > until:
                break
            await asyncio.sleep(_POLL)
        for each in due:
            each.handed.append((time.monotonic(), pid))
        return web.Response(body=msgspec.json.encode([each.click for each in due]))

    def _is_due(self, clicked: Clicked) -> bool:
        """Whether to hand out a click: some are, twice, as services do that are not sure."""
        if not clicked.handed:
            return True
        draw = random.Random(f"{self._seed}/{clicked.click.id}")  # noqa: S311
        if draw.random() < _TWICE and len(clicked.handed) == 1:
            return True
        return not clicked.told and time.monotonic() - clicked.handed[-1][0] > _AGAIN

    async def _told(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = msgspec.json.decode(await request.read())
        self.clicks[body["id"]].told.append(body["outcome"])
        return web.Response()


def refuses(seed: int, card: dict[str, Any]) -> bool:
    """Whether the board will never take a card: it knows no such room."""
    draw = random.Random(f"{seed}/refuses/{card['key']}")  # noqa: S311
    return card["role"] == MUTE and draw.random() < _REFUSES
