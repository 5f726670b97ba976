"""The way of an answer through the code: `python -m tests.answer_way` walks it and counts.

The rule. A run asks a person, on a worker that has answered questions before, and one answer
comes that nobody contests. Followed are the functions that may wait (`async def`) of actors/ and
runtime/, from `Human.answer` until it returns: what it calls, and where those calls return to. The
bus below is where the way ends. A room is a file. A stay is a stretch of the way in one room. A
return is a stay in a room that the way has been in before.

It tells how often somebody who follows an answer has to change files, which no count of lines does.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import opcode
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple

from layby import App, Step
from layby.testing import TestRuntime, running

ROOT = Path(__file__).parents[1]
_ROOMS: Final = ("actors/", "runtime/")
_BEGIN: Final = "Human.answer"
_MAY_WAIT: Final = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_BEFORE: Final = 3
"""Questions that the worker has seen answered."""


class Way(NamedTuple):
    """What was counted."""

    stays: tuple[str, ...]
    """The rooms in the order of the way."""

    @property
    def rooms(self) -> int:
        """How many rooms it leads through."""
        return len(set(self.stays))

    @property
    def returns(self) -> int:
        """How many stays are in a room that was left before."""
        return len(self.stays) - self.rooms

    def __str__(self) -> str:
        """The figures on one line."""
        return f"{len(self.stays)} stays, {self.rooms} rooms, {self.returns} returns"


class _Walk:
    """Follows the task that calls `Human.answer` first; what `sys.setprofile` calls."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._entered = list[FrameType]()
        self._visits = list[str]()

    @property
    def way(self) -> Way:
        """What was counted so far."""
        return Way(tuple(room for room, _ in itertools.groupby(self._visits)))

    def __call__(self, frame: FrameType, event: str, value: Any) -> None:
        if event not in {"call", "return"} or not (room := _room(frame.f_code)):
            return
        if self._task is None and event == "call" and frame.f_code.co_qualname == _BEGIN:
            self._task = asyncio.current_task()
        elif not self._entered or asyncio.current_task() is not self._task:
            return
        if event == "call":
            if not _goes_on(frame):
                self._entered.append(frame)
                self._visits.append(room)
        elif frame is self._entered[-1] and not _is_waiting(frame):
            self._entered.pop()
            if inspect.isawaitable(value) and getattr(value, "cr_code", None) is frame.f_code:
                self._visits.pop()  # it was only called, and nobody has awaited it yet
            elif self._entered:
                self._visits.append(_room(self._entered[-1].f_code))


def _room(code: CodeType) -> str:
    """The file of a function that may wait, from the root of the project; empty: another one."""
    path = Path(code.co_filename)
    if not (code.co_flags & _MAY_WAIT and path.is_relative_to(ROOT)):
        return ""
    room = path.relative_to(ROOT).as_posix().removeprefix("layby/")
    return room if room.startswith(_ROOMS) else ""


def _op(frame: FrameType) -> str:
    """The instruction that a frame has come to."""
    return opcode.opname[frame.f_code.co_code[frame.f_lasti]] if frame.f_lasti >= 0 else ""


def _goes_on(frame: FrameType) -> bool:
    """Whether a function that is called has waited, and goes on."""
    if _op(frame) == "RESUME":
        return frame.f_code.co_code[frame.f_lasti + 1] != 0
    return _is_waiting(frame)


def _is_waiting(frame: FrameType) -> bool:
    """Whether a function that returns has not ended, but waits."""
    return _op(frame) == "YIELD_VALUE"


app = App("way")


@app.workflow(on="way.opened", key="ticket")
async def handle(event: dict[str, Any], step: Step) -> str:
    """Ask a person."""
    answer = await step.ask("developer", f"May I, for {event['ticket']}?")
    return answer.text


@contextmanager
def _watched(walk: _Walk) -> Generator[None]:
    sys.setprofile(walk)
    try:
        yield
    finally:
        sys.setprofile(None)


async def _answered(runtime: TestRuntime, ticket: str) -> None:
    run = await runtime.send("way.opened", {"ticket": ticket})
    await runtime.question(run)
    await runtime.answer(run, "yes")
    await runtime.result(run)


async def walked() -> Way:
    """Let a worker take an answer, and count its way."""
    walk = _Walk()
    async with running(app) as runtime:
        for number in range(_BEFORE):
            await _answered(runtime, f"before-{number}")
        with _watched(walk):
            await _answered(runtime, "T1")
    return walk.way


def main() -> None:
    """Print the way and its figures."""
    way = asyncio.run(walked())
    sys.stdout.write("\n".join([*way.stays, str(way)]) + "\n")


if __name__ == "__main__":
    main()
