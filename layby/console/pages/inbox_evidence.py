"""What a person should see before they answer: what the agent said, and who answered before."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, Final

from ...bus.errors import BusError
from ...client import Client, NoSuchRun
from ...events import (
    ModelResponded,
    QuestionAnswered,
    QuestionAsked,
    ToolCalled,
    ToolDone,
)
from ...views.rows import QuestionRow

_PATIENCE: Final = 2.0
"""Seconds that reading a log may take; without the evidence the page is still useful."""
_SAID: Final = 2
_RESULTS: Final = 5
_KEPT: Final = 200
_LONGEST: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Something that was said before the question.

    Attributes:
        who: Who said it: `Clerk`, `ada, developer`.
        at: When.
        text: What.
        about: The question that it answers; empty: none.
        is_person: Whether a person said it.
    """

    who: str
    at: str
    text: str
    about: str = ""
    is_person: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A tool's result before the question.

    Attributes:
        title: The call, in a line.
        text: The result.
        is_error: Whether it failed.
    """

    title: str
    text: str
    is_error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of the run up to a question.

    Attributes:
        said: What agents and people said, oldest first.
        results: Results of tools since the agent's turn, oldest first.
        arguments: The arguments of a call to approve, as the agent gave them.
    """

    said: tuple[Said, ...] = ()
    results: tuple[Result, ...] = ()
    arguments: dict[str, Any] | None = None


NONE: Final = Evidence()


class EvidenceReader:
    """Reads the logs of runs up to their questions, and remembers: that never changes."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Evidence] = OrderedDict()

    def known(self, question: str) -> Evidence:
        """The evidence for a question as far as it was read."""
        return self._known.get(question, NONE)

    async def read(self, client: Client, question: QuestionRow) -> Evidence:
        """The evidence for a question; none if the log cannot be read here, or not soon enough."""
        known = self._known.get(question.id)
        if known is not None:
            return known
        gathering = _Gathering(question)
        with suppress(BusError, NoSuchRun, TimeoutError):
            async with (
                asyncio.timeout(_PATIENCE),
                aclosing(client.events(question.run)) as events,
            ):
                async for event in events:
                    if gathering.add(event):
                        self._remember(question.id, gathering.evidence())
                        break
        return gathering.evidence()

    def _remember(self, question: str, evidence: Evidence) -> None:
        self._known[question] = evidence
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)


class _Gathering:
    """What the events of a run say, until its question is asked."""

    def __init__(self, question: QuestionRow) -> None:
        self._question = question
        self._people: list[Said] = []
        self._agents: list[Said] = []
        self._results: list[Result] = []
        self._calls: dict[str, ToolCalled] = {}
        self._asked: dict[str, QuestionAsked] = {}

    def add(self, event: Any) -> bool:
        """Add an event; whether it is the question."""
        match event:
            case ModelResponded(text=text) if text.strip():
                said = Said(who=event.agent, at=event.at, text=text[:_LONGEST])
                self._agents = [*self._agents, said][-_SAID:]
            case ToolCalled():
                self._calls[event.call] = event
            case ToolDone():
                self._results = [*self._results, self._result(event)][-_RESULTS:]
            case QuestionAsked():
                self._asked[event.question_id] = event
                return event.question_id == self._question.id
            case QuestionAnswered():
                self._people.append(self._answer(event))
            case _:
                pass
        return False

    def evidence(self) -> Evidence:
        """What is known now."""
        said = sorted([*self._agents, *self._people[-_SAID:]], key=lambda each: each.at)
        waiting = [call for call in self._calls.values() if self._is_asked_about(call)]
        return Evidence(
            said=tuple(said),
            results=tuple(self._results),
            arguments=waiting[0].arguments if len(waiting) == 1 else None,
        )

    def _is_asked_about(self, call: ToolCalled) -> bool:
        return bool(self._question.digest) and f" call {call.tool}(" in self._question.question

    def _result(self, event: ToolDone) -> Result:
        called = self._calls.pop(event.call, None)
        given = ", ".join(f"{k}={v!r}" for k, v in called.arguments.items()) if called else ""
        title = f"{event.tool}({given})"
        return Result(
            title=title if len(title) <= 120 else f"{title[:120]}…",  # noqa: PLR2004
            text=event.output[:_LONGEST],
            is_error=event.is_error,
        )

    def _answer(self, event: QuestionAnswered) -> Said:
        asked = self._asked.get(event.question_id)
        who = ", ".join(filter(None, (event.by or "somebody", asked.role if asked else "")))
        about = asked.question if asked else ""
        return Said(
            who=who, at=event.at, text=event.text[:_LONGEST], about=about[:500], is_person=True
        )
