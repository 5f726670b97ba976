"""A network: agents, a router, and the state that they share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias

import msgspec

from ...runtime.address import Address
from ...runtime.entry import Raw
from ...runtime.errors import InvalidSetup
from ...runtime.values import load
from ...tools.source import own
from ..agents.agent import Agent
from ..agents.definition import called_by
from ..agents.hooks import Enabled
from ..kinds import NETWORK
from ..models.attachment import Attachment, checked_attachments
from ..models.model import Model
from ..state.state import StateType
from ..threads.turn import NetworkInput, NetworkResult, S
from .router import Router, RoutingAgent


@dataclass(frozen=True)
class Tokens:
    """A budget of tokens for one run of a network, its router included."""

    limit: int
    """The most tokens that the run may use."""


@dataclass(frozen=True, eq=False)
class Network(Generic[S]):
    """A group of agents that work on one task, with a router that decides who is next."""

    name: str
    """Its name for people and logs; unique among the networks of the app."""
    agents: Sequence[Member] = field(kw_only=True)
    """Its members: agents, and nested networks, each of which works as if it were one agent."""
    description: str = field(default="", kw_only=True)
    """What it is for, in words for the router of an enclosing network."""
    router: Router[S] | RoutingAgent | None = field(default=None, kw_only=True)
    """A function of the `Route`, or a `RoutingAgent`; None: a `RoutingAgent` without rules."""
    default_model: Model | None = field(default=None, kw_only=True)
    """The model of its agents and its routing agent, unless they have one of their own."""
    max_turns: int = field(default=10, kw_only=True)
    """The most turns; after them the run ends as `max_turns` unless the router says it is done."""
    state: type[S] | None = field(default=None, kw_only=True)
    """The type of the state: a pydantic model or dataclass; None: a plain dict."""
    budget: Tokens | None = field(default=None, kw_only=True)
    """What a run may use; once it is spent, the run ends as `budget_spent`. None: no limit."""
    at_limit: Literal["raise", "return"] = field(default="raise", kw_only=True)
    """What happens at `max_turns`, or when the budget is spent: `raise` MaxTurns or BudgetSpent, or
    `return` the result so far, whose `status` then says why it ended."""
    enabled: Enabled | None = field(default=None, kw_only=True)
    """Decides whether the router of an enclosing network may choose it; None: it always may."""
    concurrency: int | None = field(default=None, kw_only=True)
    """The most runs that one worker routes at the same time; None: the app's `concurrency`."""
    state_type: StateType = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = [member.name for member in self.agents]
        if not names:
            raise InvalidSetup(f"network {self.name!r} has no agents")
        if len(set(names)) < len(names):
            raise InvalidSetup(f"network {self.name!r} has two agents of the same name: {names}")
        for limit in ("max_turns", "concurrency"):
            if getattr(self, limit) is not None and getattr(self, limit) < 1:
                raise InvalidSetup(f"network {self.name!r}: {limit} must be at least 1")
        if self.budget is not None and self.budget.limit < 1:
            raise InvalidSetup(f"network {self.name!r}: budget={self.budget.limit}: give 1 or more")
        if self.at_limit not in {"raise", "return"}:
            raise InvalidSetup(
                f"network {self.name!r}: at_limit={self.at_limit!r}: give 'raise' or 'return'"
            )
        object.__setattr__(self, "state_type", StateType(self.state))
        self._check_handoffs(names)

    def _check_handoffs(self, names: list[str]) -> None:
        for agent in self.agents:
            tools = agent.own_tools if isinstance(agent, Agent) else ()
            targets = (tool.hands_to for tool in tools if tool.hands_to)
            unknown = next((name for name in targets if name not in names), None)
            if unknown:
                raise InvalidSetup(
                    f"agent {agent.name!r} hands off to {unknown!r}, which is not in network "
                    f"{self.name!r}; its agents are: {', '.join(names)}"
                )

    @property
    def address(self) -> str:
        """The actor's name in subjects."""
        return str(Address.of(NETWORK, self.name))

    def accept(self, result: Raw) -> NetworkResult[S]:
        """The network's result, decoded: state and outputs as their types."""
        done: NetworkResult[Any] = load(result, NetworkResult)
        outputs = {a.name: a for a in self.agents if isinstance(a, Agent)}
        turns = [outputs[t.agent].typed(t) if t.agent in outputs else t for t in done.turns]
        state = self.state_type.shown(done.state)
        return msgspec.structs.replace(done, turns=turns, state=state)

    def task(
        self,
        input: str,  # noqa: A002
        state: Any = None,
        attachments: Sequence[Attachment] = (),
    ) -> NetworkInput:
        """The input of the network. Raises InvalidSetup when an argument does not fit."""
        return NetworkInput(
            network=self.name,
            input=input,
            state=self.state_type.opening(state),
            attachments=checked_attachments(f"network {self.name!r}", attachments),
        )

    def find(self, name: str) -> Member:
        """The agent or network with this name."""
        return next(member for member in self.agents if member.name == name)

    def performers(self) -> Iterator[Any]:
        """Every actor that must handle mail for the network to work, itself first; some twice."""
        yield self
        for member in self.agents:
            yield from member.performers()
        if isinstance(self.router, RoutingAgent):
            yield from called_by(own(self.router.tools))


Member: TypeAlias = "Agent | Network[Any]"
