"""Errors as they are recorded and shown: a type, a message and a place, never a stack trace."""

from __future__ import annotations

import sys
from typing import Any

from .entry import Failure
from .errors import Exited, StepFailed
from .place import causes_of, members_of, place_of
from .redaction import redacted

_LONGEST = 2_000
_CHAIN = 8
_STEPS = "_layby_steps"


def message_of(error: BaseException) -> str:
    """The message of `error` for people: at most 2,000 characters, and no known secret."""
    return redacted(_raw_message(error))[:_LONGEST]


def _raw_message(error: BaseException) -> str:
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(error, pydantic.ValidationError):
        invalid: Any = error
        lines = (
            f"{'.'.join(map(str, item['loc'])) or 'value'}: {item['msg']}"
            for item in invalid.errors(include_url=False, include_input=False)
        )
        return "; ".join(lines)
    if isinstance(error, TimeoutError) and not str(error):
        return "it took longer than its timeout"
    return _text(error) + _members(error)


def _text(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except Exception:  # noqa: BLE001  user code
        return type(error).__name__


def _members(error: BaseException) -> str:
    """The messages of the exceptions in a group."""
    members = [f"{type(each).__name__}: {message_of(each)}" for each in members_of(error)]
    return f": {'; '.join(members)}" if members else ""


def failure_of(error: BaseException, attempts: int = 1) -> Failure:
    """`error` as it is recorded. A StepFailed passes on the original failure."""
    if isinstance(error, StepFailed):
        return Failure(
            type=error.type_name or "StepFailed",
            message=redacted(str(error)),
            attempts=error.attempts,
            place=place_of(error),
            causes=list(error.causes),
        )
    return Failure(
        type=type(error).__name__,
        message=message_of(error),
        attempts=attempts,
        place=place_of(error),
        causes=causes_of(error),
    )


def reason_of(failure: Failure) -> str:
    """A failure as people read it: `KeyError: 'amount' in pay (shop/app.py:41)`."""
    message = "" if failure.message == failure.type else f": {failure.message}"
    place = f" in {failure.place}" if failure.place else ""
    return f"{failure.type}{message}{place}"


def as_error(error: BaseException) -> Exception:
    """`error` itself, or `Exited` in place of one that would end the process."""
    if isinstance(error, Exception):
        return error
    exited = Exited(f"user code tried to end the worker's process: {error!r}")
    exited.__cause__ = error
    return exited


def steps_of(error: BaseException) -> list[str]:
    """The keys of the recorded failures that caused `error`, in the body's frame."""
    for _ in range(_CHAIN):
        steps = error.__dict__.get(_STEPS)
        if steps is not None:
            return list(steps)
        cause = error.__cause__ or error.__context__
        if cause is None:
            return []
        error = cause
    return []


def blame(error: BaseException, *steps: str) -> None:
    """Note that the recorded failures of `steps` caused `error`."""
    known = steps_of(error) if _STEPS in error.__dict__ else []
    error.__dict__[_STEPS] = list(dict.fromkeys([*known, *steps]))
