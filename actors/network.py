"""A network: agents, a router, and the supervisor actor that lets them take turns."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..bus.token import slug
from ..runtime.entry import Raw
from ..runtime.errors import InvalidSetup, MaxTurns
from ..runtime.journal import Frame, RunState
from ..runtime.retry import Retry
from ..runtime.step import Step
from ..runtime.values import load
from .agent import Agent
from .model import Model, Usage
from .router import Route, Router, RoutingAgent, decision_of
from .turn import Decision, NetworkInput, NetworkResult, TurnInput, TurnResult

_ROUTE_RETRY = Retry(attempts=6, first=1.0, longest="1m")


@dataclass(frozen=True, eq=False)
class Network:
    """Agents that work on one thing, and who decides whose turn it is."""

    name: str
    agents: Sequence[Agent] = field(kw_only=True)
    router: Router | RoutingAgent | None = field(default=None, kw_only=True)
    """A function of the `Route`, or a `RoutingAgent`. None: a `RoutingAgent` without rules."""
    default_model: Model | None = field(default=None, kw_only=True)
    max_turns: int = field(default=10, kw_only=True)
    """Turns after which the run ends as `max_turns` unless the router says that it is done."""

    def __post_init__(self) -> None:
        names = [agent.name for agent in self.agents]
        if not names:
            raise InvalidSetup(f"network {self.name!r} has no agents")
        if len(set(names)) < len(names):
            raise InvalidSetup(f"network {self.name!r} has two agents of one name: {names}")
        if self.max_turns < 1:
            raise InvalidSetup(f"network {self.name!r}: max_turns must be at least 1")

    @property
    def address(self) -> str:
        """The actor's name in subjects."""
        return f"network-{slug(self.name)}"

    def accept(self, result: Raw) -> NetworkResult:
        """Read what the network returned."""
        done: NetworkResult = load(result, NetworkResult)
        return done

    def find(self, name: str) -> Agent:
        """The agent of that name."""
        return next(agent for agent in self.agents if agent.name == name)


class Supervisor:
    """The actor of one network: routes, calls agents, routes again."""

    strict = False

    def __init__(self, network: Network) -> None:
        self._network = network
        self._router = network.router or RoutingAgent(f"{network.name} router")

    @property
    def address(self) -> str:
        """The actor's name in subjects."""
        return self._network.address

    async def enter(self, step: Step, frame: Frame, state: RunState) -> NetworkResult:
        """Let agents take turns until the router says that it is done."""
        del state
        task: NetworkInput = await step.read(frame.input, NetworkInput)
        turns: list[TurnResult] = []
        values = dict(task.state)
        usage = Usage()
        for number in range(self._network.max_turns + 1):
            route = Route(
                input=task.input,
                turns=turns,
                agents={agent.name: agent for agent in self._network.agents},
                state=values,
                ticket=step.ticket,
            )
            decision = await self._decide(step, number, route)
            usage += decision.usage
            if not decision.agents:
                return self._result(decision, turns, values, usage)
            if number == self._network.max_turns:
                break
            for turn in await self._turns(step, number, decision):
                turns.append(turn)
                values.update(turn.state)
                usage += turn.usage
        raise MaxTurns(
            f"network {self._network.name!r} took {self._network.max_turns} turns "
            "without its router saying that it is done"
        )

    async def _decide(self, step: Step, number: int, route: Route) -> Decision:
        async def effect() -> Decision:
            return await self._choose(route)

        def told(decision: Decision) -> str:
            who = ", ".join(decision.agents) or "done"
            return f"{who} ({decision.by}{': ' if decision.summary else ''}{decision.summary})"

        decision: Decision = await step.perform(
            f"route#{number}", effect, Decision, retry=_ROUTE_RETRY, note=told
        )
        return decision

    async def _choose(self, route: Route) -> Decision:
        router = self._router
        if not isinstance(router, RoutingAgent):
            choice = router(route)
            choice = await choice if inspect.isawaitable(choice) else choice
            if not isinstance(choice, RoutingAgent):
                return decision_of(choice, route, by="code")
            router = choice
        return await router.decide(route, self._network.default_model)

    async def _turns(self, step: Step, number: int, decision: Decision) -> list[TurnResult]:
        calls: list[Any] = []
        for place, name in enumerate(decision.agents):
            asked = TurnInput(agent=name, network=self._network.name, number=number)
            key = f"turn#{number}.{place}"
            calls.append(step.call(self._network.find(name), asked, name=key, note=name))
        if len(calls) == 1:
            return [await calls[0]]
        return await step.gather(*calls)

    def _result(
        self, decision: Decision, turns: list[TurnResult], values: dict[str, Any], usage: Usage
    ) -> NetworkResult:
        said = next((turn.text for turn in reversed(turns) if turn.text), "")
        return NetworkResult(
            network=self._network.name,
            text=said or decision.summary,
            turns=turns,
            state=values,
            usage=usage,
        )
