"""Random tools of one response, in two workers that die and come back, over one log in memory.

The state that comes of it must be that of the kept calls in the log's order, one after another;
whatever is not kept must be told, with both writers; and every later pass must find the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import cycle
from random import Random
from typing import Annotated, Any

from pydantic import BaseModel

from layby import Agent, CallOutcome, ToolContext, tool
from layby.actors.agents.tool_calls import Calls
from layby.actors.keys import AFTER, TOOL, Key
from layby.actors.state.state import StateType, Values
from layby.bus.log_subject import NOBODY
from layby.models import ToolCall
from layby.runtime.actor_step import ActorStep
from layby.runtime.conflicts import conflicts
from layby.runtime.entry import ROOT, Called, Raw, Record, Stepped
from layby.runtime.envelope import Envelope, decode, encode
from layby.runtime.errors import Fenced, Parked
from layby.runtime.journal import fold
from layby.runtime.memory import MemoryPorts, MemoryRecorder, WholeValues
from layby.runtime.strand import entering

_LONGEST = 3_000
"""Turns of the loop in which two workers must have come to an end."""


def plus(base: int, current: int, written: int) -> int:
    """A reducer: two sums add up."""
    return current + written - base


class Board(BaseModel):
    facts: list[str] = ["first"]
    more: list[str] = ["first"]
    count: int = 0
    name: str = "nobody"
    total: Annotated[int, plus] = 0
    seen: dict[str, str] = {"x": "old", "y": "old"}


class Broken(Exception):
    """A promise was not kept."""


class Died(BaseException):
    """The worker's process is gone."""


Move = tuple[str, str, int]
"""What is done, to which part of the state, and a number that nobody else has."""


def make(board: Board, move: Move) -> None:
    """Do one thing to the state."""
    verb, part, n = move
    match verb:
        case "append":
            getattr(board, part).append(f"{n}")
        case "reset":
            setattr(board, part, [f"{n}"])
        case "set":
            setattr(board, part, f"{n}")
        case "add":
            setattr(board, part, getattr(board, part) + n)
        case "put":
            board.seen[part] = f"{n}"
        case "remove":
            del board.seen[part]
        case _:
            pass


KIND = StateType(Board)
PLAYED: ContextVar[Trial] = ContextVar("PLAYED")
"""The trial whose tools are called."""


def _tool(place: int) -> Any:
    async def work(ctx: ToolContext[Board]) -> str:
        trial = PLAYED.get()
        await trial.play(ctx, trial.programs[place])
        return f"did {place}"

    return tool(name=f"t{place}", description="")(work)


TOOLS = [_tool(place) for place in range(4)]


@dataclass
class Trial:
    """What is tried; all of it follows from `rng`."""

    rng: Random
    programs: list[list[Move]] = field(default_factory=list[list[Move]])
    hooks: list[list[Move]] = field(default_factory=list[list[Move]])
    owners: list[set[int]] = field(default_factory=list[set[int]])
    """The workers that do a call."""
    deaths: list[int] = field(default_factory=list[int])
    """At which appends a worker dies."""

    def __post_init__(self) -> None:
        self._n = 0
        size = self.rng.randint(1, 4)
        self.programs = [self._program() for _ in range(size)]
        hooked = self.rng.random() < 0.4
        self.hooks = [
            [move for move in self._program() if move[0] != "remove"] if hooked else []
            for _ in range(size)
        ]
        self.owners = [
            {0, 1} if self.rng.random() < 0.2 else {self.rng.randint(0, 1)} for _ in range(size)
        ]
        self.deaths = [self.rng.randint(1, 12) for _ in range(self.rng.randint(0, 3))]
        self.at_once = self.rng.choice([1, 2, 8])
        self._paces = cycle([self.rng.randint(0, 3) for _ in range(17)])

    def _program(self) -> list[Move]:
        return [self._move() for _ in range(self.rng.randint(0, 4))]

    def _move(self) -> Move:
        self._n += 1
        verb, parts = self.rng.choice(
            [
                ("wait", [""]),
                ("wait", [""]),
                ("append", ["facts", "more"]),
                ("append", ["facts", "more"]),
                ("reset", ["facts", "more"]),
                ("set", ["name"]),
                ("add", ["count", "total"]),
                ("put", ["x", "y", "z"]),
                ("remove", ["x", "y"]),
            ]
        )
        return verb, self.rng.choice(parts), self._n

    # -- the play ------------------------------------------------------------------------------

    def run(self) -> None:
        """Play it. Raises Broken."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        PLAYED.set(self)
        log = SharedLog(self.deaths)
        first, second = await asyncio.gather(self._worker(log, 0), self._worker(log, 1))
        self._hold(log, first)
        if first != second:
            raise Broken(f"two workers differ: {first} and {second}")
        again = await self._pass(log, set(), _same_pace)
        if again != first:
            raise Broken(f"a later pass differs: {first} and {again}")

    async def _worker(self, log: SharedLog, me: int) -> Found:
        mine = {place for place, owners in enumerate(self.owners) if me in owners}
        for _ in range(_LONGEST):
            found = await self._pass(log, mine, self._pace)
            if found is not None:
                return found
            await asyncio.sleep(0)
        raise Broken("it does not come to an end")

    async def _pace(self) -> None:
        for _ in range(next(self._paces)):
            await asyncio.sleep(0)

    async def _pass(self, log: SharedLog, mine: set[int], pace: Callable[[], Any]) -> Found | None:
        """Enter the body once; what it comes to, None where it waits or dies."""
        recorder = LogRecorder(log, mine, pace)
        step = ActorStep(recorder, MemoryPorts(blobs=PacedValues(pace)))
        values = Values(KIND, Board().model_dump())
        calls = {
            Key(TOOL, 0, place): ToolCall(id=f"{place}", name=f"t{place}", arguments={})
            for place in range(len(self.programs))
        }
        with entering(0, 0):
            try:
                outcomes = await Calls(self._agent(), step, "net", values).respond(calls, None)
                await recorder.flush()
            except Parked:
                with suppress(Died, Fenced):
                    await recorder.flush()
                return None
            except (Died, Fenced):
                return None
        return Found(values.shared, [(each.content, each.is_error) for each in outcomes])

    def _agent(self) -> Agent:
        async def audit(
            ctx: ToolContext[Board], call: ToolCall, outcome: CallOutcome
        ) -> CallOutcome:
            await self.play(ctx, self.hooks[int(call.id)])
            return outcome

        return Agent(
            "A",
            tools=TOOLS,
            after_tool=audit if any(self.hooks) else None,
            max_parallel_tools=self.at_once,
        )

    async def play(self, ctx: ToolContext[Board], moves: Sequence[Move]) -> None:
        """Make some moves."""
        for move in moves:
            if move[0] == "wait":
                await self._pace()
            else:
                make(ctx.state, move)

    # -- what must be true ---------------------------------------------------------------------

    def _hold(self, log: SharedLog, found: Found) -> None:
        board = Board()
        for key in log.order:
            place = key.place or 0
            told, _ = found.outcomes[place]
            if key.kind == TOOL:
                refused, moves = f"t{place} ran, and its result was" in told, self.programs[place]
            else:
                refused, moves = f"after_tool hook of t{place} changed" in told, self.hooks[place]
            if refused and "(call " not in told.partition("was not kept")[2]:
                raise Broken(f"nobody is named: {told}")
            if refused or (key.kind == TOOL and f"t{place} failed" in told):
                continue
            for move in moves:
                make(board, move)
        if board.model_dump() != found.state:
            raise Broken(f"one after another: {board.model_dump()}; found: {found.state}")


@dataclass
class Found:
    """What a pass has come to."""

    state: dict[str, Any]
    outcomes: list[tuple[str, bool]]


async def _same_pace() -> None:
    """Nobody else is there."""


class SharedLog:
    """One run's log."""

    def __init__(self, deaths: Sequence[int]) -> None:
        self.messages: list[bytes] = []
        self._deaths = set(deaths)
        self._appends = 0

    def append(self, records: list[Record]) -> None:
        """Add a message. Raises Died before or after it, where that is its fate."""
        self._appends += 1
        dies = self._appends in self._deaths
        if dies and self._appends % 2:
            raise Died
        self.messages.append(encode(Envelope(op="", at=0.0, records=records)))
        if dies:
            raise Died

    @property
    def order(self) -> list[Key]:
        """The calls and hooks in the order of their records."""
        records = [each for message in self.messages for each in decode(message).records]
        keys = [Key.parse(each.key) for each in records if isinstance(each, Stepped)]
        return [found[0] for found in keys if found is not None and found[0].kind in {TOOL, AFTER}]


class LogRecorder(MemoryRecorder):
    """The record of one body over the shared log."""

    def __init__(self, log: SharedLog, mine: set[int], pace: Callable[[], Any]) -> None:
        super().__init__("r", _nobody)
        self.state.frames[ROOT] = self.frame
        self._log = log
        self._mine = mine
        self._pace = pace
        self._buffer: list[Record] = []
        self._dead = False
        self._in_turn = asyncio.Lock()
        self._catch_up()

    def _catch_up(self) -> None:
        for n, message in enumerate(self._log.messages[self.state.tail :], self.state.tail + 1):
            fold(self.state, n, decode(message))

    async def before_effect(self, key: str) -> None:
        found = Key.parse(key)
        if found is None or found[0].place not in self._mine:
            raise Parked  # another worker's mail
        await self.flush()
        if conflicts(self.state, Stepped(frame=ROOT, key=key)):
            raise Fenced(key)

    async def before_retry(self, key: str) -> None:
        await self.before_effect(key)

    def record(self, record: Record) -> None:
        self._buffer.append(record)

    async def flush(self, *, to: str = NOBODY, mail: Record | None = None) -> None:
        del to, mail
        async with self._in_turn:
            await self._pace()
            if self._dead:
                raise Died
            self._catch_up()
            if any(conflicts(self.state, each) for each in self._buffer):
                raise Fenced("meanwhile")
            if not self._buffer:
                return
            records, self._buffer = self._buffer, []
            try:
                self._log.append(records)
            except Died:
                self._dead = True
                raise
            self._catch_up()


async def _nobody(called: Called) -> Raw:
    raise AssertionError(called)


class PacedValues(WholeValues):
    """Values that take a while to put away, so that calls are not recorded as they end."""

    def __init__(self, pace: Callable[[], Any]) -> None:
        self._pace = pace

    async def deflate(self, raw: Raw, run: str) -> Raw:
        del run
        await self._pace()
        return raw
