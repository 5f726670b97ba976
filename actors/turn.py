"""What agents and networks hand each other, as it stands in the log."""

from __future__ import annotations

from typing import Any, Generic, Literal

import msgspec
from typing_extensions import TypeVar

from .attachment import Attachment
from .model import Message, ModelResponse, ToolCall, Usage
from .patch import Op

Stop = Literal[
    "done",
    "max_steps",
    "budget_spent",
    "stopped",
    "halted",
    "handoff",
    "refusal",
    "max_tokens",
    "max_turns",
]
"""Why a turn ended.

`done`: the model had said everything. `max_steps`: it had not. `budget_spent`: it had not, and the
network's tokens are used up. `stopped`: a `stop_when` held. `halted`: the `on_start` hook ended it.
`handoff`: another agent takes over. `refusal` and `max_tokens`: the model's own reasons.
`max_turns`: of a network within a network, its last turn is taken.
"""
Status = Literal["done", "max_turns", "budget_spent"]
"""Why a network ended."""

S = TypeVar("S", default=dict[str, Any])
"""The type of a network's state."""


class CallRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tool call of a turn, with what came of it."""

    name: str
    arguments: dict[str, Any] = {}
    """What the tool ran with: as the model sent it, unless a hook or a person changed it."""
    content: str = ""
    is_error: bool = False


ROUTE = "route_to_agent"
DONE = "done"
DECISIONS = frozenset({ROUTE, DONE})
"""The tools with which a routing agent's model says what it has decided."""
USER = ""
"""Who has said what no agent said."""


class Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that was said in a thread."""

    key: str
    """What wrote it: the run, and which call of a network in it."""
    at: str
    """When, ISO 8601 in UTC."""
    who: str = USER
    """The agent; empty for the user."""
    text: str = ""
    calls: list[CallRecord] = []
    """The tools that the agent called on the way, their results cut to 2,000 letters."""


class CallOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a tool call is recorded as."""

    content: str
    is_error: bool = False
    state: dict[str, Any] = {}
    """Keys of the network's state to set, beside what is changed in `ctx.state`."""
    agent_state: dict[str, Any] = {}
    """Keys of the agent's own state to set, beside what is changed in `ctx.agent_state`."""
    changes: list[Op] | None = None
    """What was changed in the network's state; None where `state` says it."""
    own_changes: list[Op] = []
    """What was changed in the agent's own state."""
    seen: list[str] = []
    """The keys of the changes of this response that were known then."""
    arguments: dict[str, Any] | None = None
    """What the tool ran with, where that is not what the model sent."""
    usage: Usage = Usage()
    """Of the agents that the tool called."""


class Prepared(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was decided about a call before its tool ran."""

    arguments: dict[str, Any] = {}
    outcome: CallOutcome | None = None
    """The result, where the tool is not to run."""
    role: str = ""
    """Who must approve the call; empty: nobody."""
    digest: str = ""
    """Of what they are asked to approve."""
    state: dict[str, Any] = {}
    agent_state: dict[str, Any] = {}
    changes: list[Op] | None = None
    """As those of a `CallOutcome`."""
    own_changes: list[Op] = []
    seen: list[str] = []


class Thought(ModelResponse, frozen=True, kw_only=True, omit_defaults=True):
    """A model's response as a turn records it."""

    halted: bool = False
    """The `on_start` hook has ended the turn; the model was not asked."""


class Advice(ModelResponse, frozen=True, kw_only=True, omit_defaults=True):
    """A response of a routing agent's model, as its decision records it."""

    by: str = ""
    """The routing agent's name."""


def brief(response: ModelResponse) -> str:
    """A response in a line, for the timeline."""
    calls = [f"{call.name}({_arguments(call)})" for call in response.message.tool_calls]
    return "; ".join([*calls, response.message.text][:8]).strip("; ")[:500]


def _arguments(call: ToolCall) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in call.arguments.items())[:200]


class NetworkInput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a network is to do."""

    network: str
    input: str
    state: dict[str, Any] = {}
    seen: list[str] = []
    """Of a task that a tool hands on: the changes of its response that `state` contains."""
    tokens: int | None = None
    """Tokens that it may use, where a network around it has a budget."""
    before: list[Said] = []
    """What was said in the thread before."""
    attachments: list[Attachment] = []
    """Pictures and documents that belong to `input`."""


class TurnInput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A turn to take, as a supervisor or another agent's tool calls for it."""

    agent: str
    network: str
    number: int = 0
    """Rounds of the network before this one."""
    task: NetworkInput | None = None
    """What to do, where the caller is another agent; else it is what the network does."""
    tokens: int | None = None
    """Tokens that the turn may use; None: no limit."""


class TurnResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an agent did with its turn."""

    agent: str
    text: str = ""
    """What it said last."""
    calls: list[CallRecord] = []
    stop: Stop = "done"
    messages: list[Message] = []
    """What it added to the conversation."""
    usage: Usage = Usage()
    state: dict[str, Any] = {}
    """The keys of the network's state that its tools set."""
    agent_state: dict[str, Any] = {}
    """The keys of its own state that its tools set."""
    changes: list[Op] | None = None
    """What its tools changed in the network's state; None where `state` says it."""
    own_changes: list[Op] | None = None
    seen: list[str] = []
    """As that of its task."""
    output: Any = None
    """Its final answer as the agent's `output_type`; None where it has none, or gave none."""
    next: str = ""
    """Who takes over, after a handoff."""

    def called(self, tool: str) -> bool:
        """Whether it has called `tool` without an error."""
        return any(call.name == tool and not call.is_error for call in self.calls)


class NetworkResult(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """What a network did."""

    network: str
    status: Status = "done"
    """`done`; another only where the network's `at_limit` is `return`."""
    text: str = ""
    """What was said last, or the router's summary."""
    turns: list[TurnResult] = []
    state: S = {}  # type: ignore[assignment]
    """The state at the end, as the network's `state` type; a dict where it has none."""
    changes: list[Op] | None = None
    """What was changed in the state; None in the logs of releases that did not keep it."""
    agent_states: dict[str, dict[str, Any]] = {}
    """The agents' own states by the agents' names."""
    usage: Usage = Usage()

    @property
    def output(self) -> Any:
        """The newest final answer of an agent with an `output_type`; None where there is none."""
        return next((t.output for t in reversed(self.turns) if t.output is not None), None)


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A router's word: whose turn it is next, or that the network is done."""

    agents: list[str] = []
    """Nobody: the network is done."""
    summary: str = ""
    by: str = ""
    """`rule`, `code`, `handoff`, or the routing agent's name."""
    usage: Usage = Usage()
    state: dict[str, Any] = {}
    """The keys of the network's state that the router's tools set."""
    changes: list[Op] | None = None
    """What the router's tools changed; None where `state` says it."""
    spent: bool = False
    """There is none: the budget has no tokens left for the routing agent's model."""
