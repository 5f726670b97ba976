"""What is to happen to each ticket: drawn from a seed, so that it can be repeated."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal, TypeAlias

import msgspec

from .app import Op

Manner: TypeAlias = Literal[
    "prompt",
    "plain",
    "named",
    "twice",
    "two_people",
    "wrong_id",
    "invalid",
    "early",
    "edge",
    "late",
    "never",
    "in_turn",
]
"""How a question is answered. `edge` is at its deadline +-300 ms, `late` after it was closed."""
MANNERS: tuple[Manner, ...] = (
    "prompt",
    "plain",
    "named",
    "twice",
    "two_people",
    "wrong_id",
    "invalid",
    "early",
    "edge",
    "late",
    "never",
)
_EXPIRING = {"edge", "late", "never"}
_PATIENT = 60.0


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """One ticket: its event, how its questions are answered, whether it is cancelled."""

    n: int
    ops: list[Op]
    manner: Manner = "prompt"
    delay: float = 0.0
    """Seconds that the person thinks."""
    cancel_after: float | None = None
    """Seconds after its event."""

    @property
    def id(self) -> str:
        """The ticket's id, safe as a subject token."""
        return f"T{self.n}"


def plans(seed: int, count: int, *, quick: bool = True) -> list[Ticket]:
    """`count` tickets of every kind."""
    draw = random.Random(seed)  # noqa: S311
    return [_plan(draw, n, quick=quick) for n in range(1, count + 1)]


def batches(tickets: list[Ticket], count: int) -> Iterator[list[Ticket]]:
    """`tickets` in `count` batches of one size; the last ones have what is left, or nothing."""
    size = -(-len(tickets) // count)
    for number in range(count):
        yield tickets[number * size : (number + 1) * size]


def _plan(draw: random.Random, n: int, *, quick: bool) -> Ticket:
    manner = draw.choice(MANNERS)
    deadline = draw.uniform(0.4, 1.2) if manner in _EXPIRING else _PATIENT
    kinds = ["step", "step", "ask", "asks", "sleep", "side_by_side", "network", "flaky", "slow"]
    kinds += ["chat", "child", "sign"]
    if not quick:
        kinds += ["backoff"]
    ops = [_op(draw, draw.choice(kinds), i, deadline) for i in range(draw.randint(2, 5))]
    if not any(op.kind in {"ask", "asks", "side_by_side", "network", "sign"} for op in ops):
        ops.append(_op(draw, "ask", len(ops), deadline))
    if draw.random() < 0.05:
        ops.append(Op(kind="boom", name=f"{len(ops)}-boom"))
    else:
        ops.append(Op(kind="step", name=f"{len(ops)}-last"))
    cancel = draw.uniform(0.0, 1.5) if draw.random() < 0.1 else None
    delay = draw.uniform(0.0, 0.3)
    return Ticket(n=n, ops=ops, manner=manner, delay=delay, cancel_after=cancel)


def _op(draw: random.Random, kind: str, place: int, deadline: float) -> Op:  # noqa: PLR0911
    name = f"{place}-{kind}"
    match kind:
        case "ask" | "sign" | "side_by_side":
            return Op(kind=kind, name=name, seconds=deadline)
        case "asks":
            return Op(kind=kind, name=name, seconds=deadline, count=draw.randint(2, 4))
        case "sleep" | "child":
            return Op(kind=kind, name=name, seconds=draw.uniform(0.05, 0.5))
        case "slow":
            return Op(kind="step", name=name, seconds=draw.uniform(0.05, 0.3))
        case "chat":
            return Op(kind=kind, name=name, count=draw.randint(2, 5))
        case "flaky" | "backoff":
            return Op(kind=kind, name=name, count=draw.randint(1, 2))
        case "network":
            rounds = [
                [f"effect:{name}.a", f"ask:{name}.q", f"effect:{name}.b"],
                [f"effect:{name}.c"],
            ]
            return Op(kind=kind, name=name, rounds=rounds)
        case _:
            return Op(kind="step", name=name)


def deployed_over(seed: int, count: int, first: int = 1) -> list[Ticket]:
    """Tickets that park on a question once their first step is recorded; some fail until retried.

    No question of them has a deadline that a deploy may take longer than.
    """
    draw = random.Random(f"{seed}/{first}")  # noqa: S311
    return [_deployed_over(draw, n) for n in range(first, first + count)]


def _deployed_over(draw: random.Random, n: int) -> Ticket:
    ops = [Op(kind="step", name="0-step"), Op(kind="ask", name="1-ask", seconds=_PATIENT)]
    kinds = ["asks", "side_by_side", "network", "flaky", "chat", "sleep", "child", "ask"]
    ops += [_op(draw, draw.choice(kinds), len(ops) + i, _PATIENT) for i in range(2)]
    if draw.random() < 0.25:
        ops.append(Op(kind="frail", name=f"{len(ops)}-frail", count=draw.randint(1, 2)))
    ops.append(Op(kind="step", name=f"{len(ops)}-last"))
    manners: list[Manner] = [each for each in MANNERS if each not in {*_EXPIRING, "early"}]
    return Ticket(n=n, ops=ops, manner=draw.choice(manners), delay=draw.uniform(0.0, 4.0))


def inherited(n: int) -> Ticket:
    """A small ticket that fails with a child that it waits for, and goes on with it if retried."""
    ops = [Op(kind="step", name="0-step"), Op(kind="heir", name="1-heir", count=1)]
    return Ticket(n=n, ops=[*ops, Op(kind="step", name="2-last")])


def one_of_each(n: int) -> Ticket:
    """A small ticket whose run passes every crash point but those of a deadline."""
    return Ticket(
        n=n,
        ops=[
            Op(kind="step", name="0-step"),
            Op(kind="ask", name="1-ask", seconds=_PATIENT),
            Op(kind="chat", name="2-chat", count=2),
            Op(kind="step", name="3-last"),
        ],
    )


def answered_thrice(n: int) -> Ticket:
    """A small ticket whose questions, one after the other, get three answers each."""
    return Ticket(
        n=n,
        manner="twice",
        ops=[
            Op(kind="ask", name="0-ask", seconds=_PATIENT),
            Op(kind="ask", name="1-ask", seconds=_PATIENT),
            Op(kind="step", name="2-last"),
        ],
    )


def answered_in_turn(n: int) -> Ticket:
    """A small ticket whose question is answered twice, the second time after the first's ack."""
    ops = [Op(kind="ask", name="0-ask", seconds=_PATIENT), Op(kind="step", name="1-last")]
    return Ticket(n=n, manner="in_turn", ops=ops)


def signed(n: int) -> Ticket:
    """A small ticket whose question takes a signed answer, and gets forged ones with it."""
    ops = [Op(kind="sign", name="0-sign", seconds=_PATIENT), Op(kind="step", name="1-last")]
    return Ticket(n=n, ops=ops)


def two_at_once(n: int) -> Ticket:
    """A small ticket with two open questions, one of which gets an answer that names neither."""
    ops = [Op(kind="asks", name="0-asks", seconds=_PATIENT, count=2)]
    return Ticket(n=n, delay=0.3, ops=[*ops, Op(kind="step", name="1-last")])


def handed_over(n: int) -> Ticket:
    """A small ticket whose answer is followed by a step, and by one that takes a while."""
    return Ticket(
        n=n,
        manner="named",
        ops=[
            Op(kind="step", name="0-step"),
            Op(kind="ask", name="1-ask", seconds=_PATIENT),
            Op(kind="step", name="2-step"),
            Op(kind="step", name="3-slow", seconds=1.5),
            Op(kind="step", name="4-last"),
        ],
    )


def sleeping(n: int) -> Ticket:
    """A small ticket that begins with a sleep."""
    ops = [Op(kind="sleep", name="0-sleep", seconds=0.2), Op(kind="step", name="1-last")]
    return Ticket(n=n, ops=ops)


def answered_in_time(n: int) -> Ticket:
    """A small ticket whose question is answered shortly before its deadline."""
    return Ticket(
        n=n,
        manner="named",
        delay=0.6,
        ops=[Op(kind="ask", name="0-ask", seconds=1.5), Op(kind="step", name="1-last")],
    )


def expiring(n: int, seconds: float = 0.3, *, at: float = 0.0) -> Ticket:
    """A small ticket whose question nobody answers, until `seconds` later or a point of time."""
    ask = Op(kind="ask", name="0-ask", seconds=seconds, at=at)
    return Ticket(n=n, manner="never", ops=[ask, Op(kind="step", name="1-last")])
