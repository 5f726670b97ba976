"""Calls of users' functions, which may be async or not."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from types import CoroutineType, FunctionType
from typing import Any


async def maybe_await(value: Any) -> Any:
    """What a function returned, awaited where it is async."""
    ready: Any = value
    if type(ready) is CoroutineType or inspect.isawaitable(ready):
        ready = await value
    return ready


async def call(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call `fn`; one that is not async runs in a thread, with this task's context variables."""
    if _is_async(fn):
        return await maybe_await(fn(*args, **kwargs))
    return await maybe_await(await asyncio.to_thread(_in_thread, fn, *args, **kwargs))


def _is_async(fn: Callable[..., Any]) -> bool:
    if type(fn) is FunctionType and fn.__code__.co_flags & inspect.CO_COROUTINE:
        return True  # true of most, at a tenth of the cost of the checks below
    target = getattr(fn, "func", fn)  # of a functools.partial
    call = getattr(target, "__call__", None)  # noqa: B004  an object with an async __call__
    return inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(call)


def _in_thread(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    try:
        return fn(*args, **kwargs)
    except StopIteration as error:  # a future cannot carry it, and would never be done
        raise RuntimeError(f"{getattr(fn, '__name__', fn)} raised StopIteration") from error
