"""The port to language models: requests, responses and errors.

Values are msgspec structs: a response is recorded in the run's log as it is, and read back when
the turn resumes, so nothing here may hold a client, a key or a connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from ...runtime.blockers import Need
from ...runtime.errors import LaybyError
from ...runtime.retry import Retry
from .attachment import Document, Image

MODEL_RETRY = Retry(attempts=6, first=1.0, longest="1m")
"""How to retry a step that asks a model, or another server that an agent depends on."""

StopReason: TypeAlias = Literal[
    "end", "tool_use", "max_tokens", "stop_sequence", "refusal", "context_window", "pause"
]


class Text(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="text"):
    """Plain text from a user or a model."""

    text: str


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_call"):
    """A model's request to run one tool."""

    id: str
    name: str
    arguments: dict[str, Any]


class ToolResult(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_result"):
    """The result of a tool call; `content` is JSON or plain text."""

    id: str
    name: str
    content: str
    is_error: bool = False


class Opaque(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="opaque"):
    """A provider's own block, such as a signed thinking block, sent back to it unchanged."""

    provider: str
    data: dict[str, Any]


Part: TypeAlias = Text | Image | Document | ToolCall | ToolResult | Opaque


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of a conversation. Tool results travel in `user` messages."""

    role: Literal["user", "assistant"]
    parts: list[Part]

    @property
    def text(self) -> str:
        """The text parts, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The tool calls, in the model's order."""
        return [part for part in self.parts if isinstance(part, ToolCall)]


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as a model sees it; `parameters` is a JSON Schema of type object."""

    name: str
    description: str
    parameters: dict[str, Any]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one or more responses; no token is counted twice."""

    input_tokens: int = 0
    """Input tokens that were neither read from the provider's cache nor written to it."""
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def tokens(self) -> int:
        """The sum of all tokens."""
        return (
            self.input_tokens
            + self.output_tokens
            + self.cache_read_tokens
            + self.cache_write_tokens
        )

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
        )


class ModelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for one response of a model."""

    system: str
    messages: list[Message]
    tools: list[ToolSpec] = []
    tool_choice: str = "auto"
    """`auto`, `any`, `none`, or the name of the tool that must be called."""
    max_tokens: int | None = None
    """The most tokens of the response; None: the model's own limit."""

    def showing(self, *parts: Part) -> ModelRequest:
        """The request with `parts`, such as an `Image`, added to its first message: the task."""
        first = Message(role="user", parts=[])
        rest = self.messages
        if rest and rest[0].role == "user":
            first, *rest = rest
        first = msgspec.structs.replace(first, parts=[*first.parts, *parts])
        return msgspec.structs.replace(self, messages=[first, *rest])


class ModelResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A response of a model, as it is recorded in the run's log."""

    message: Message
    stop_reason: StopReason
    usage: Usage = Usage()
    model: str = ""
    """The model's name as the provider reports it."""


OnText: TypeAlias = Callable[[str], None]


@runtime_checkable
class Model(Protocol):
    """A language model. Implementations hold their client; it never reaches a log."""

    @property
    def name(self) -> str:
        """The model's name, for people and for usage statistics."""
        ...

    async def respond(self, request: ModelRequest, on_text: OnText | None = None) -> ModelResponse:
        """Answer one request; `on_text` gets the text as it arrives.

        Raises:
            ModelError: the provider failed or rejected the request.
        """
        ...


class ModelError(LaybyError):
    """A model gave no usable response.

    `retryable` says whether the same request may succeed later, and `retry_after` how many seconds
    the provider wants us to wait. The turn is retried durably: a long back-off occupies no worker.
    `bad_request` says that the request itself is invalid, so that another model would reject it
    too. `need` is what people must fix, such as a key: the run is blocked until they have.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        bad_request: bool = False,
        need: Need | None = None,
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after
        self.bad_request = bad_request
        self.need = need


@runtime_checkable
class Keyed(Protocol):
    """A model that needs a provider's API key."""

    @property
    def key_missing(self) -> str:
        """A message that the key is missing; empty if there is one, or none is needed."""
        ...

    @property
    def key_mark(self) -> str:
        """A mark that tells keys apart without revealing anything about them."""
        ...
