"""A network: agents, a router, and what they share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias

import msgspec

from ..runtime.address import Address
from ..runtime.entry import Raw
from ..runtime.errors import InvalidSetup
from ..runtime.values import load
from ..tools.source import own
from .agent import Agent, called_by
from .attachment import Attachment, checked_attachments
from .hooks import Enabled
from .kinds import NETWORK
from .model import Model
from .router import Router, RoutingAgent
from .state import StateType
from .turn import NetworkInput, NetworkResult, S


@dataclass(frozen=True)
class Tokens:
    """A budget: how many tokens a network's run may use, those of its router included."""

    limit: int


@dataclass(frozen=True, eq=False)
class Network(Generic[S]):
    """Agents that work on one thing, and who decides whose turn it is."""

    name: str
    """What people and logs call it. No two networks of an app may share it."""
    agents: Sequence[Member] = field(kw_only=True)
    """Agents, and networks, which work as if they were one agent."""
    description: str = field(default="", kw_only=True)
    """What the routers of a network around it are told that it is for."""
    router: Router | RoutingAgent | None = field(default=None, kw_only=True)
    """A function of the `Route`, or a `RoutingAgent`. None: a `RoutingAgent` without rules."""
    default_model: Model | None = field(default=None, kw_only=True)
    """What its agents and its routing agent think with unless they have a model of their own."""
    max_turns: int = field(default=10, kw_only=True)
    """Turns after which the run ends as `max_turns` unless the router says that it is done."""
    state: type[S] | None = field(default=None, kw_only=True)
    """The type of the state: a pydantic model or dataclass. None: a plain dict."""
    budget: Tokens | None = field(default=None, kw_only=True)
    """What a run may use; when it is spent the run ends as `budget_spent`."""
    at_limit: Literal["raise", "return"] = field(default="raise", kw_only=True)
    """What comes of the last turn, or of a spent budget, without a router's word that it is done:
    `raise` MaxTurns or BudgetSpent, or `return` what was done; its `status` then says why."""
    enabled: Enabled | None = field(default=None, kw_only=True)
    """Whether the routers of a network around it may choose it now; None: always."""
    concurrency: int | None = field(default=None, kw_only=True)
    """Runs of the network that one worker routes at the same time. None: the app's."""
    state_type: StateType = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = [member.name for member in self.agents]
        if not names:
            raise InvalidSetup(f"network {self.name!r} has no agents")
        if len(set(names)) < len(names):
            raise InvalidSetup(f"network {self.name!r} has two agents of one name: {names}")
        for limit in ("max_turns", "concurrency"):
            if getattr(self, limit) is not None and getattr(self, limit) < 1:
                raise InvalidSetup(f"network {self.name!r}: {limit} must be at least 1")
        if self.budget is not None and self.budget.limit < 1:
            raise InvalidSetup(f"network {self.name!r}: a budget of {self.budget.limit} is none")
        if self.at_limit not in {"raise", "return"}:
            raise InvalidSetup(f"network {self.name!r}: at_limit is 'raise' or 'return'")
        object.__setattr__(self, "state_type", StateType(self.state))
        self._check_handoffs(names)

    def _check_handoffs(self, names: list[str]) -> None:
        for agent in self.agents:
            tools = agent.own_tools if isinstance(agent, Agent) else ()
            heir = next((t.hands_to for t in tools if t.hands_to and t.hands_to not in names), None)
            if heir:
                raise InvalidSetup(
                    f"agent {agent.name!r} hands off to {heir!r}, who is not in network "
                    f"{self.name!r}; its agents are: {', '.join(names)}"
                )

    @property
    def address(self) -> str:
        """The actor's name in subjects."""
        return str(Address.of(NETWORK, self.name))

    def accept(self, result: Raw) -> NetworkResult[S]:
        """Read what the network returned, state and outputs as their types."""
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
        """What the network is called with. Raises InvalidSetup when something does not fit."""
        return NetworkInput(
            network=self.name,
            input=input,
            state=self.state_type.opening(state),
            attachments=checked_attachments(f"network {self.name!r}", attachments),
        )

    def find(self, name: str) -> Member:
        """The agent or network of that name."""
        return next(member for member in self.agents if member.name == name)

    def performers(self) -> Iterator[Any]:
        """Everybody who must take mail for the network to work, itself first; some twice."""
        yield self
        for member in self.agents:
            yield from member.performers()
        if isinstance(self.router, RoutingAgent):
            yield from called_by(own(self.router.tools))


Member: TypeAlias = "Agent | Network[Any]"
