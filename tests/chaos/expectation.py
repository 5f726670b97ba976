"""What a ticket's run must do and give, by its plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise, product
from typing import Any
from unittest.mock import ANY

import msgspec

from layby.runtime.state import RunState

from .app import EXPIRED, Op
from .plan import Ticket


def stages(ticket: Ticket) -> Iterator[list[str]]:
    """The effects of a ticket, in the order in which it makes them; those of one stage at once."""
    for op in ticket.ops:
        match op.kind:
            case "step" | "flaky" | "backoff" | "frail":
                yield [f"{ticket.n}/{op.name}"]
            case "asks":
                yield [f"{ticket.n}/{op.name}.{i}.then" for i in range(op.count)]
            case "side_by_side":
                yield [f"{ticket.n}/{op.name}.0.then", f"{ticket.n}/{op.name}.beside"]
            case "network":
                calls = ([word.partition(":") for word in words] for words in op.rounds)
                yield from (
                    [f"{ticket.n}/{name}" for kind, _, name in words if kind == "effect"]
                    for words in calls
                )
            case _:
                pass


def effects_of(ticket: Ticket) -> Iterator[str]:
    """Every effect of a ticket."""
    for stage in stages(ticket):
        yield from stage


def in_order(ticket: Ticket) -> Iterator[tuple[str, str]]:
    """Pairs of effects of which the second must not begin before the first is recorded."""
    for before, after in pairwise(stages(ticket)):
        yield from product(before, after)


def _said(ticket: Ticket, run: RunState, name: str) -> str:
    """What the log says that the answer to a question was."""
    text = f"{ticket.n}/{name}"
    question = next((q for q in run.questions.values() if q.question == text), None)
    if question is None:
        return "(never asked)"
    return question.text if question.status == "answered" else EXPIRED


def expected(op: Op, ticket: Ticket, run: RunState, said: Mapping[str, list[str]]) -> Any:  # noqa: PLR0911
    """What an op of a completed run must have given, where people decide by what the log says.

    `said` is what was stored for each chat, in its order.
    """
    if op.kind == "chat":
        return said[f"{ticket.n}/{op.name}"][: op.count]
    did = f"did {ticket.n}/"
    match op.kind:
        case "ask" | "sign":
            return _said(ticket, run, op.name)
        case "asks":
            return [
                [_said(ticket, run, f"{op.name}.{i}"), f"{did}{op.name}.{i}.then"]
                for i in range(op.count)
            ]
        case "poll" | "climb":
            return ANY  # whoever knows what was said for them judges it
        case "sleep" | "child":
            return "slept"
        case "side_by_side":
            first = [_said(ticket, run, f"{op.name}.0"), f"{did}{op.name}.0.then"]
            return [first, None, f"{did}{op.name}.beside"]
        case "network":
            words = [word for words in op.rounds for word in words]
            made = [f"{ticket.n}/{w[7:]}" for w in words if w.startswith("effect:")]
            return [*(_heard(word, ticket, run) for word in words), sorted(made), len(made)]
        case _:
            return f"{did}{op.name}"


def _heard(word: str, ticket: Ticket, run: RunState) -> Any:
    kind, _, name = word.partition(":")
    return f"did {ticket.n}/{name}" if kind == "effect" else _said(ticket, run, name)


def plain(value: Any) -> Any:
    """A result in which the rendered result of the tool that asks is the answer alone."""
    if isinstance(value, list):
        return [plain(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, str) and value.startswith("{"):
        return msgspec.json.decode(value)["answer"]
    if isinstance(value, str) and value.startswith("nobody with the role"):
        return EXPIRED
    return value
