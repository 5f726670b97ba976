"""Keeps a fault in tracing away from what is traced."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Final, ParamSpec, TypeVar

from ..runtime.redaction import redacted

log = logging.getLogger("layby.tracing")

P = ParamSpec("P")
T = TypeVar("T")
D = TypeVar("D")

_wrong: Final = list[str]()
"""The first fault of this process."""


def harmless(instead: D) -> Callable[[Callable[P, T]], Callable[P, T | D]]:
    """A decorator of functions that must not raise: after a fault they return `instead`."""

    def decorate(function: Callable[P, T]) -> Callable[P, T | D]:
        @wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> T | D:
            try:
                return function(*args, **kwargs)
            except Exception as error:  # noqa: BLE001  work goes on without this span
                give_up(error)
                return instead

        return guarded

    return decorate


def give_up(error: Exception) -> None:
    """Note a fault; the first one is logged."""
    if not _wrong:
        _wrong.append(repr(error))
        log.error("tracing.failed error=%s", redacted(repr(error)), exc_info=error)
