"""What agents and networks hand each other, as it stands in the log."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from .model import Message, Usage

Stop = Literal["done", "max_steps", "stopped", "refusal", "max_tokens"]


class CallRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tool call of a turn, with what came of it."""

    name: str
    arguments: dict[str, Any] = {}
    content: str = ""
    is_error: bool = False


class CallOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a tool call is recorded as."""

    content: str
    is_error: bool = False
    state: dict[str, Any] = {}
    """The keys of the network's state that the tool set."""


class TurnInput(msgspec.Struct, frozen=True, kw_only=True):
    """A turn to take, as a supervisor calls for it."""

    agent: str
    network: str
    number: int
    """Turns of the network before this one."""


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


class NetworkInput(msgspec.Struct, frozen=True, kw_only=True):
    """What a network is to do."""

    network: str
    input: str
    state: dict[str, Any] = {}


class NetworkResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a network did."""

    network: str
    status: Literal["done"] = "done"
    text: str = ""
    """What was said last, or the router's summary."""
    turns: list[TurnResult] = []
    state: dict[str, Any] = {}
    usage: Usage = Usage()


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A router's word: whose turn it is next, or that the network is done."""

    agents: list[str] = []
    """Nobody: the network is done."""
    summary: str = ""
    by: str = ""
    """`rule`, `code`, or the routing agent's name."""
    usage: Usage = Usage()
