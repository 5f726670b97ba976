"""The app under test: a workflow that does what its event says, and notes every effect it makes."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec

from layby.actors.agents.agent import Agent
from layby.actors.agents.route import Route
from layby.actors.models.model import (
    Message,
    ModelRequest,
    ModelResponse,
    Text,
    ToolCall,
    ToolResult,
)
from layby.actors.networks.network import Network
from layby.actors.workflows.workflow import WorkflowStep
from layby.app import App
from layby.runtime.errors import AskTimedOut, NonRetriableError, NoQuorum, RetryAfter
from layby.runtime.retry import Retry
from layby.runtime.rung import Rung
from layby.runtime.step import Step
from layby.tools import ToolContext, make_ask, tool

from . import crowd, keys, signers
from .ledger import Ledger

TRIGGER = "chaos.ticket.opened"
SAID = "chaos.ticket.said"
ACK_WAIT = "CHAOS_ACK_WAIT"
"""Environment variable: the ack-wait of all consumers, seconds."""
LOG_STREAMS = "CHAOS_LOG_STREAMS"
"""Environment variable: over how many streams the logs are split."""
EXPIRED = "(expired)"
NO_QUORUM = "(no quorum)"
NOT_YET = "does not work yet"
"""What the errors say that a retry of the run mends."""
_SHORT = 0.2
_RETRY = Retry(attempts=30, first=0.02, longest=0.05)


class Op(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that a ticket's run does. `name` is unique within its ticket."""

    kind: str
    """step, slow, flaky, backoff, ask, sign, asks, sleep, side_by_side, network, chat, child,
    frail, heir, poll, climb or boom."""
    name: str
    seconds: float = 0.0
    """Deadline of a question, length of a sleep."""
    at: float = 0.0
    """Deadline of a question in Unix seconds, instead of `seconds`."""
    count: int = 0
    """Tries that fail, questions at once, messages of a chat, ends that are retried."""
    rounds: list[list[str]] = []
    """Of a network: the calls of each response of its model, `effect:name` or `ask:name`."""
    poll: crowd.Poll | None = None
    """What it takes to decide a question that several people decide."""
    climb: crowd.Climb | None = None
    """Whom a question is for that has a ladder, and when others are asked too."""


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """The event."""

    ticketId: str  # noqa: N815  the wire's name
    n: int
    ops: list[Op] = []


_ledger: list[Ledger] = []


def ledger() -> Ledger:
    """This process's ledger."""
    if not _ledger:
        _ledger.append(Ledger.of_this_process())
    return _ledger[0]


async def effect(key: str, name: str, seconds: float = 0.0) -> str:
    """The effect itself: noted when it begins and when it is made."""
    ledger().write(key, name, made=False)
    await asyncio.sleep(seconds)
    ledger().write(key, name, made=True)
    return f"did {name}"


async def flaky(key: str, name: str, fails: int, pause: float) -> str:
    """An effect that fails the first times it is tried, whoever tries."""
    ledger().write(key, name, made=False)
    if ledger().tries(key) <= fails:
        raise RetryAfter(pause) if pause else OSError(f"{name} is down")
    ledger().write(key, name, made=True)
    return f"did {name}"


async def frail(key: str, name: str, fails: int) -> str:
    """An effect that ends its run the first times, and is made once the run is retried."""
    ledger().write(key, name, made=False)
    if ledger().tries(key) <= fails:
        raise NonRetriableError(f"{name} {NOT_YET}")
    ledger().write(key, name, made=True)
    return f"did {name}"


class Body:
    """One run of the workflow."""

    def __init__(self, event: Opened, step: WorkflowStep) -> None:
        self._event = event
        self._step = step

    async def walk(self) -> list[Any]:
        return [await getattr(self, f"do_{op.kind}")(op) for op in self._event.ops]

    def _named(self, op: Op, suffix: str = "") -> tuple[str, str]:
        name = op.name + suffix
        return self._step.idempotency_key(name), f"{self._event.n}/{name}"

    def do_step(self, op: Op, suffix: str = "") -> Awaitable[str]:
        return self._step.run(
            op.name + suffix, effect, *self._named(op, suffix), op.seconds, retry=_RETRY
        )

    def do_flaky(self, op: Op) -> Awaitable[str]:
        return self._step.run(op.name, flaky, *self._named(op), op.count, 0.0, retry=_RETRY)

    def do_backoff(self, op: Op) -> Awaitable[str]:
        return self._step.run(op.name, flaky, *self._named(op), op.count, 1.0, retry=_RETRY)

    def do_frail(self, op: Op) -> Awaitable[str]:
        return self._step.run(op.name, frail, *self._named(op), op.count)

    def do_heir(self, op: Op) -> Awaitable[str]:
        event = {
            "ticketId": f"T{self._event.n}-{op.name}",
            "effect": f"{self._event.n}/{op.name}",
            "fails": op.count,
        }
        return self._step.workflow("heir", event, name=op.name)

    async def do_sign(self, op: Op) -> str:
        return await self.do_ask(op, role=signers.ROLE)

    async def do_ask(self, op: Op, suffix: str = "", role: str = "developer") -> str:
        name = op.name + suffix
        question = f"{self._event.n}/{name}"
        timeout = max(_SHORT, op.at - time.time()) if op.at else op.seconds
        try:
            answer = await self._step.ask(role, question, timeout=timeout, name=name)
        except AskTimedOut:
            return EXPIRED
        return answer.text

    async def do_asks(self, op: Op) -> list[Any]:
        return await self._step.gather(*(self._ask_then_do(op, i) for i in range(op.count)))

    async def _ask_then_do(self, op: Op, number: int) -> list[str]:
        said = await self.do_ask(op, f".{number}")
        return [said, await self.do_step(_quick(op), f".{number}.then")]

    async def do_chat(self, op: Op) -> list[str]:
        match = {"chat": f"{self._event.n}/{op.name}"}
        heard: list[str] = []
        while len(heard) < op.count:
            message = await self._step.wait_for_event(SAID, match=match, name=op.name)
            heard.append(message["text"])
        return heard

    async def do_poll(self, op: Op) -> Any:
        assert op.poll is not None
        poll, answer = op.poll, crowd.Colour if op.poll.colours else bool
        try:
            decided = await self._step.ask(
                poll.role,
                f"{self._event.n}/{op.name}",
                answer=answer,
                timeout=op.seconds,
                name=op.name,
                quorum=poll.number or None,
                groups=poll.groups or None,
                veto=poll.veto,
                exclude=poll.exclude,
                remind=poll.remind or None,
            )
        except NoQuorum:
            return NO_QUORUM
        except AskTimedOut:
            return EXPIRED
        return [decided.value, decided.by, [[v.by, v.role, v.choice] for v in decided.votes]]

    async def do_climb(self, op: Op) -> str:
        assert op.climb is not None
        climb = op.climb
        try:
            answer = await self._step.ask(
                climb.role,
                f"{self._event.n}/{op.name}",
                timeout=op.seconds,
                name=op.name,
                remind=climb.remind,
                escalate=[Rung(after, to=to) for after, to in climb.escalate],
                explain=crowd.explained if climb.explain == "code" else climb.explain or None,
                clock_stops=climb.stops or None,
            )
        except AskTimedOut:
            return EXPIRED
        return answer.text

    async def do_sleep(self, op: Op) -> str:
        await self._step.sleep(op.seconds)
        return "slept"

    async def do_child(self, op: Op) -> str:
        """Start a child, and wait for it no longer than for a sleep."""
        event = {"ticketId": f"T{self._event.n}-{op.name}"}
        await self._step.first(
            self._step.workflow("dawdle", event, name=op.name), self._step.sleep(op.seconds)
        )
        return "slept"

    async def do_side_by_side(self, op: Op) -> list[Any]:
        return await self._step.gather(
            self._ask_then_do(op, 0), self._step.sleep(_SHORT), self.do_step(_quick(op), ".beside")
        )

    async def do_network(self, op: Op) -> list[Any]:
        script = msgspec.json.encode({"n": self._event.n, "rounds": op.rounds}).decode()
        state: dict[str, Any] = {"made": [], "count": 0}
        if self._event.n % 2:  # the agent alone does the same
            turn = await self._step.agent(bee, script, state=state, name=op.name)
            turns, kept = [turn], turn.state
        else:
            result = await self._step.network(network, script, state=state, name=op.name)
            turns, kept = result.turns, result.state
        told = [call.content for turn in turns for call in turn.calls]
        return [*told, sorted(kept["made"]), kept["count"]]

    async def do_boom(self, op: Op) -> str:
        raise ValueError(f"{op.name} cannot work")


def _quick(op: Op) -> Op:
    return msgspec.structs.replace(op, seconds=0)


class ScriptedModel:
    """Answers by its script, the network's input: the n-th response makes the n-th calls."""

    name = "scripted"

    async def respond(self, request: ModelRequest, on_text: Any = None) -> ModelResponse:
        del on_text
        first = request.messages[0].text
        script = msgspec.json.decode(first)
        said = [message for message in request.messages if message.role == "assistant"]
        number = len(said)
        key = f"model/{script['n']}/{number}"
        ledger().write(key, key, made=False)
        ledger().write(key, key, made=True)
        rounds: list[list[str]] = script["rounds"]
        calls = rounds[number] if number < len(rounds) else []
        parts: list[Any] = [
            _call(f"c{number}.{place}", script["n"], word) for place, word in enumerate(calls)
        ]
        heard = sum(isinstance(part, ToolResult) for m in request.messages for part in m.parts)
        message = Message(role="assistant", parts=parts or [Text(text=f"heard {heard}")])
        return ModelResponse(message=message, stop_reason="tool_use" if parts else "end")


def _call(call_id: str, n: int, word: str) -> ToolCall:
    kind, _, name = word.partition(":")
    if kind == "ask":
        return ToolCall(
            id=call_id, name="ask_developer", arguments={"question": f"{n}/{name}", "context": ""}
        )
    return ToolCall(id=call_id, name="make_effect", arguments={"name": f"{n}/{name}"})


@tool
async def make_effect(ctx: ToolContext, name: Annotated[str, "Which effect"]) -> str:
    """Make an effect."""
    did = await effect(ctx.idempotency_key, name)
    ctx.state["made"].append(name)
    ctx.state["count"] += 1
    return did


def _route(route: Route) -> str | None:
    return "Bee" if not route.turns else None


bee = Agent("Bee", tools=[make_effect, make_ask()], model=ScriptedModel())
network = Network("hive", agents=[bee], router=_route)


async def walk(event: Opened, step: Step) -> list[Any]:
    """Do what the event says."""
    assert isinstance(step, WorkflowStep)
    return await Body(event, step).walk()


async def dawdle(event: dict[str, Any], step: Step) -> None:
    """Take longer than anybody waits for it."""
    del event
    await step.sleep("1h")


async def heir(event: dict[str, Any], step: Step) -> str:
    """Fail, and with it the run that waits for it, until that is retried."""
    key = step.idempotency_key("work")
    return await step.run("work", frail, key, event["effect"], event["fails"])


def release(body: Callable[[Opened, Step], Awaitable[list[Any]]], *, log_streams: int = 0) -> App:
    """A release of the app in which `body` is the workflow."""
    made = App(
        "chaos",
        networks=[network],
        events=[SAID],
        roles=(*signers.ROLES, *crowd.roles()),
        ask_timeout=float(os.environ.get("CHAOS_ASK_TIMEOUT", "20")),
        max_questions=50,
        ack_wait=float(os.environ.get(ACK_WAIT, "2")),
        encryption=keys.keyring(),
        log_streams=log_streams or int(os.environ.get(LOG_STREAMS, "1")),
    )
    made.workflow(on=TRIGGER, key="ticketId", version="1", name="walk")(body)
    made.workflow(on="chaos.child.opened", key="ticketId", version="1")(dawdle)
    made.workflow(on="chaos.heir.opened", key="ticketId", version="1")(heir)
    return made


app = release(walk)
