"""Users' functions are called on the event loop where they are async, in a thread else."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from layby import Agent, ToolContext, tool
from layby.runtime.calling import call
from layby.runtime.retry import NEVER
from tests.scripted import Scripted, calls, says


class Asynchronous:
    async def __call__(self) -> int:
        return threading.get_ident()


async def coroutine() -> int:
    return threading.get_ident()


def returns_one() -> Any:
    return coroutine()


def plain(**given: Any) -> int:
    assert given in ({}, {"fn": 1})
    return threading.get_ident()


@pytest.mark.parametrize(
    ("fn", "on_loop"),
    [
        (coroutine, True),
        (functools.partial(coroutine), True),
        (Asynchronous(), True),
        (functools.partial(Asynchronous()), True),
        (returns_one, True),
        (plain, False),
        (functools.partial(plain, fn=1), False),
        (lambda: 1, False),
    ],
)
async def test_a_function_runs_where_it_belongs(fn: Callable[..., Any], *, on_loop: bool) -> None:
    assert (await call(fn) == threading.get_ident()) is on_loop


async def test_an_argument_may_have_any_name() -> None:
    def given(**arguments: int) -> dict[str, int]:
        return arguments

    assert await call(given, fn=1, self=2) == {"fn": 1, "self": 2}


async def test_a_step_whose_function_raises_stop_iteration_fails_and_does_not_hang() -> None:
    def empty() -> Any:
        return next(iter([]))

    @tool
    async def use(ctx: ToolContext) -> str:
        """Take the first of nothing."""
        return str(await ctx.step.run("one", empty, retry=NEVER))

    agent = Agent("A", tools=[use], model=Scripted(calls(("use", {})), says("ok")))
    turn = await asyncio.wait_for(agent.run("Go."), 30)
    assert turn.calls[0].is_error
    assert "empty raised StopIteration" in turn.calls[0].content
