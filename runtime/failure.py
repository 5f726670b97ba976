"""Errors as they are recorded and told: a type and a message, never a stack trace."""

from __future__ import annotations

import sys
from typing import Any

from .entry import Failure
from .errors import Exited, StepFailed

_LONGEST = 2_000


def told(error: BaseException) -> str:
    """What a person should read of `error`, at most 2,000 characters."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(error, pydantic.ValidationError):
        invalid: Any = error
        lines = (
            f"{'.'.join(map(str, item['loc'])) or 'value'}: {item['msg']}"
            for item in invalid.errors(include_url=False, include_input=False)
        )
        return "; ".join(lines)[:_LONGEST]
    if isinstance(error, TimeoutError) and not str(error):
        return "it took longer than its timeout"
    return (str(error) or type(error).__name__)[:_LONGEST]


def failure_of(error: BaseException, attempts: int = 1) -> Failure:
    """`error` as it is recorded. A failed step passes on what it failed with."""
    if isinstance(error, StepFailed):
        return Failure(
            type=error.type_name or "StepFailed", message=str(error), attempts=error.attempts
        )
    return Failure(type=type(error).__name__, message=told(error), attempts=attempts)


def as_error(error: BaseException) -> Exception:
    """`error`, or what stands for one that would end the process."""
    if isinstance(error, Exception):
        return error
    return Exited(f"it would have ended the worker's process: {error!r}")
