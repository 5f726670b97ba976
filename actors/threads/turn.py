"""What agents and networks pass to one another, as the log records it."""

from __future__ import annotations

from typing import Any, Generic, Literal

import msgspec
from typing_extensions import TypeVar

from ...runtime.quorum import Quorum
from ..models.attachment import Attachment
from ..models.model import Message, ModelResponse, ToolCall, Usage
from ..state.patch import Op

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

`done`: the model finished. `max_steps`: it did not finish within the agent's `max_steps`.
`budget_spent`: it did not finish before the network's tokens were used up. `stopped`: a condition
of `stop_when` was met. `halted`: the `on_start` hook ended it. `handoff`: another agent takes over.
`refusal` and `max_tokens`: the model's own reasons. `max_turns`: a nested network used up its
turns.
"""
Status = Literal["done", "max_turns", "budget_spent"]
"""Why a network ended."""

S = TypeVar("S", default=dict[str, Any])
"""The type of a network's state."""


class CallRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tool call of a turn, with its result."""

    name: str
    arguments: dict[str, Any] = {}
    """The tool's arguments: those of the model, unless a hook or a person changed them."""
    content: str = ""
    is_error: bool = False


ROUTE = "route_to_agent"
DONE = "done"
DECISIONS = frozenset({ROUTE, DONE})
"""The tools with which a routing agent's model decides."""
USER = ""
"""The `who` of a message from the user."""


class Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message of a thread."""

    key: str
    """What stored it: the run, and the call of a network in it."""
    at: str
    """When it was stored: ISO 8601, in UTC."""
    who: str = USER
    """The agent; empty for the user."""
    text: str = ""
    calls: list[CallRecord] = []
    """The agent's tool calls before it, with results cut to 2,000 characters."""


class CallOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The recorded outcome of a tool call."""

    content: str
    is_error: bool = False
    state: dict[str, Any] = {}
    """Keys of the network's state to set, in addition to changes in `ctx.state`."""
    agent_state: dict[str, Any] = {}
    """Keys of the agent's own state to set, in addition to changes in `ctx.agent_state`."""
    changes: list[Op] | None = None
    """The changes to the network's state; None where `state` holds them."""
    own_changes: list[Op] = []
    """The changes to the agent's own state."""
    seen: list[str] = []
    """The keys of the changes of the same response that it had seen."""
    arguments: dict[str, Any] | None = None
    """The tool's arguments, where they are not those that the model sent."""
    usage: Usage = Usage()
    """The tokens of agents that the tool called."""


class Prepared(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The decisions about a call before its tool runs."""

    arguments: dict[str, Any] = {}
    outcome: CallOutcome | None = None
    """The outcome, where the tool is not to run."""
    role: str = ""
    """The role that must approve the call; empty: none."""
    quorum: Quorum | None = None
    """What it takes, if several people must."""
    digest: str = ""
    """The digest of the call to approve."""
    salt: str = ""
    """The salt in the digest of a confidential question."""
    state: dict[str, Any] = {}
    agent_state: dict[str, Any] = {}
    changes: list[Op] | None = None
    """Like those of a `CallOutcome`."""
    own_changes: list[Op] = []
    seen: list[str] = []


class Thought(ModelResponse, frozen=True, kw_only=True, omit_defaults=True):
    """A model's response, as a turn records it."""

    halted: bool = False
    """Whether the `on_start` hook ended the turn without asking the model."""


class Advice(ModelResponse, frozen=True, kw_only=True, omit_defaults=True):
    """A response of a routing agent's model, as its decision records it."""

    by: str = ""
    """The routing agent's name."""


def brief(response: ModelResponse) -> str:
    """A response on one line, for the timeline."""
    calls = [f"{call.name}({_arguments(call)})" for call in response.message.tool_calls]
    return "; ".join([*calls, response.message.text][:8]).strip("; ")[:500]


def _arguments(call: ToolCall) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in call.arguments.items())[:200]


class NetworkInput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The input of a network."""

    network: str
    input: str
    state: dict[str, Any] = {}
    seen: list[str] = []
    """For a task that a tool delegates: the keys of the changes that `state` contains."""
    tokens: int | None = None
    """Tokens that it may use, where an enclosing network has a budget."""
    before: list[Said] = []
    """The thread before this run."""
    attachments: list[Attachment] = []
    """Images and documents that belong to `input`."""


class TurnInput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The input of a turn, from a supervisor or another agent's tool."""

    agent: str
    network: str
    number: int = 0
    """The number of rounds of the network before this one."""
    task: NetworkInput | None = None
    """The task, where the caller is another agent; None: the network's."""
    tokens: int | None = None
    """Tokens that the turn may use; None: no limit."""


class TurnResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result of an agent's turn."""

    agent: str
    text: str = ""
    """The text of its last response."""
    calls: list[CallRecord] = []
    stop: Stop = "done"
    messages: list[Message] = []
    """The messages that it added to the conversation."""
    usage: Usage = Usage()
    state: dict[str, Any] = {}
    """The keys of the network's state that its tools set."""
    agent_state: dict[str, Any] = {}
    """The keys of its own state that its tools set."""
    changes: list[Op] | None = None
    """The changes of its tools to the network's state; None where `state` holds them."""
    own_changes: list[Op] | None = None
    seen: list[str] = []
    """Like that of its task."""
    output: Any = None
    """Its final answer as the agent's `output_type`; None without a type or an answer."""
    next: str = ""
    """The agent that takes over after a handoff; empty: none."""

    def called(self, tool: str) -> bool:
        """Whether it called `tool` without an error."""
        return any(call.name == tool and not call.is_error for call in self.calls)


class NetworkResult(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """The result of a network."""

    network: str
    status: Status = "done"
    """Why it ended: always `done`, unless the network's `at_limit` is `return`."""
    text: str = ""
    """The last text of an agent, or else the router's summary."""
    turns: list[TurnResult] = []
    state: S = {}  # type: ignore[assignment]
    """The state at the end, as the network's `state` type; a dict if it has none."""
    changes: list[Op] | None = None
    """The changes to the state; None in logs of releases that did not record them."""
    agent_states: dict[str, dict[str, Any]] = {}
    """The agents' own states, by agent."""
    usage: Usage = Usage()

    @property
    def output(self) -> Any:
        """The latest final answer of an agent with an `output_type`; None if there is none."""
        return next((t.output for t in reversed(self.turns) if t.output is not None), None)


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A router's decision: whose turn it is next, or that the network is done."""

    agents: list[str] = []
    """The agents that are next, by name; empty: the network is done."""
    summary: str = ""
    by: str = ""
    """`rule`, `code`, `handoff`, or the routing agent's name."""
    usage: Usage = Usage()
    state: dict[str, Any] = {}
    """The keys of the network's state that the router's tools set."""
    changes: list[Op] | None = None
    """The changes of the router's tools; None where `state` holds them."""
    spent: bool = False
    """Whether no decision was made because the budget has no tokens left for the model."""
