"""Who replies to people who ask back about a question, instead of answering it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from .ask_back_records import Replier
from .ask_backs import LONGEST_REPLY
from .calling import call
from .duration import human
from .errors import InvalidSetup
from .failure import message_of
from .ladder import ROLE
from .retry import Retry
from .spent import Spent
from .strand import within

_LONGEST_PAUSE = 5.0
"""Seconds between two tries at most: the worker that replies waits for them."""


@dataclass(frozen=True, kw_only=True)
class AskBack:
    """What a person who was asked wants to know before they answer.

    Attributes:
        text: What they ask back. It comes from outside.
        by: Who asks, by the name in the subject.
        question_id: The question that they were asked.
        question: Its text.
        earlier: What was asked back about the question before, each with its reply.
    """

    text: str
    by: str
    question_id: str
    question: str
    earlier: tuple[tuple[str, str], ...] = ()


Explain: TypeAlias = "str | Callable[[AskBack], str | Awaitable[str]]"
"""Who replies: `role:support`, or a function that returns the reply."""


class Explained(NamedTuple):
    """A reply, or why there is none."""

    text: str
    kind: Replier = "code"
    by: str = ""
    failed: bool = False
    spent: Spent | None = None


Explainer: TypeAlias = Callable[[AskBack], Awaitable[Explained]]
"""Replies. It may raise anything: then there is no reply."""

_explainer: ContextVar[Explainer | None] = ContextVar("explainer", default=None)


def explainer() -> Explainer | None:
    """What replies for the agent whose tools are running; None: no agent's are."""
    return _explainer.get()


@contextmanager
def explaining(by: Explainer) -> Generator[None]:
    """In this block, `by` replies to whoever asks back about a question."""
    token = _explainer.set(by)
    try:
        yield
    finally:
        _explainer.reset(token)


def of_code(function: Callable[[AskBack], Any]) -> Explainer:
    """Replies with what a function returns. One that is not async runs in a thread."""

    async def explain(asked: AskBack) -> Explained:
        text: Any = await call(function, asked)
        if not isinstance(text, str):
            raise TypeError(f"explain= returned {type(text).__name__}: return the reply as text")
        return Explained(text)

    return explain


async def reply(by: Explainer, asked: AskBack, key: str, retry: Retry) -> Explained:
    """The reply, after as many tries as `retry` allows; a failure is a reply that says so."""
    inside = within.set(key)  # it must not begin a step: only its text is kept
    try:
        return _cut(await _tried(by, asked, retry))
    finally:
        within.reset(inside)


async def _tried(by: Explainer, asked: AskBack, retry: Retry) -> Explained:
    attempt = 1
    while True:
        try:
            return await by(asked)
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001  user code
            pause = retry.pause(attempt, error)
            if pause is None:
                tries = "once" if attempt == 1 else f"{attempt} times"
                why = f"it was tried {tries}, and failed: {message_of(error)}"
                return Explained(why, failed=True)
        await asyncio.sleep(min(pause, _LONGEST_PAUSE))
        attempt += 1


def _cut(explained: Explained) -> Explained:
    """A reply as it can be recorded: not empty, not too long, and UTF-8."""
    text = explained.text.encode("utf-8", "replace").decode().strip()
    if not text:
        return explained._replace(text="the reply was empty", failed=True)
    long = len(text) > LONGEST_REPLY
    return explained._replace(text=f"{text[: LONGEST_REPLY - 1]}…" if long else text)


def role_in(explain: Any) -> str:
    """The role that is asked for replies; empty: a function replies. Raises InvalidSetup."""
    if explain is None or callable(explain):
        return ""
    if isinstance(explain, str) and explain.startswith(ROLE) and len(explain) > len(ROLE):
        return explain.removeprefix(ROLE)
    raise InvalidSetup(
        f"explain={explain!r}: write 'role:support', or give a function that returns the reply"
    )


def nobody_replied(left: float) -> str:
    """Why there is no reply, if a person was asked for it and did not answer."""
    return f"nobody replied within {human(max(left, 0.001))}"
