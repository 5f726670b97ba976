"""OpenAI's two APIs, and all servers that speak one of them, through OpenAI's own SDK."""

from __future__ import annotations

import importlib
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast
from urllib.parse import urlsplit

from ...bus.install import installing
from ...runtime.duration import seconds
from ...runtime.errors import InvalidSetup
from .asking import continued
from .client import SdkModel, arguments
from .http import cut
from .model import ModelError, ModelRequest, ModelResponse, OnText
from .openai_errors import NO_KEY, explain, stream_error
from .openai_reader import Reader
from .openai_wire import write_request
from .outbox import put
from .responses_reader import ResponsesReader
from .responses_wire import write_response_request

if TYPE_CHECKING:  # loading the SDK takes a second
    from openai import AsyncOpenAI

_OURS = {
    "chat": {"messages", "model", "stream", "stream_options", "tool_choice", "tools"},
    "responses": {
        *("background", "conversation", "input", "instructions", "model"),
        *("previous_response_id", "stream", "tool_choice"),
    },
}
_OFFICIAL = ("api.openai.com", ".openai.azure.com")


def openai(
    model: str,
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    api: Literal["chat", "responses"] = "chat",
    max_tokens: int | None = None,
    timeout: str | float | timedelta = 600.0,
    extra: Mapping[str, Any] | None = None,
) -> OpenAIModel:
    """A model of OpenAI, or of any server that speaks one of its APIs.

    `openai("gpt-5.2")`, `openai("llama4", base_url="http://localhost:11434/v1")` for Ollama, or the
    address of vLLM, Azure (`https://<name>.openai.azure.com/openai/v1`), Gemini, Grok, Groq. It
    needs the extra `openai`. Nothing is loaded or connected before the first request. The SDK does
    not retry by itself: the run retries a failed request durably.

    Args:
        model: The server's name for the model.
        api_key: The API key; default: `OPENAI_API_KEY`. Your own server may not need one.
        base_url: The API's address; default: `OPENAI_BASE_URL`, or else OpenAI itself.
        api: `chat` for Chat Completions, which every server speaks, or `responses` for the
            Responses API, in which a model's reasoning survives its tool calls.
        max_tokens: The most tokens of a response, unless the agent sets its own limit; None: the
            server's limit.
        timeout: How long one response may take in total: seconds, or text such as `5m`.
        extra: More fields for the API's request, for instance `{"reasoning_effort": "low"}`. For
            `responses`, its `tools` are the provider's own, such as `[{"type": "web_search"}]`.

    Raises:
        InvalidSetup: a setting is not possible.
        InvalidDuration: `timeout` is not a duration.
    """
    fixed = dict(extra or {})
    if api not in _OURS:
        raise InvalidSetup(f"openai({model!r}): api={api!r}: give 'chat' or 'responses'")
    if clash := sorted(_OURS[api] & set(fixed)):
        raise InvalidSetup(f"openai({model!r}): extra must not contain {', '.join(clash)}")
    if max_tokens is not None and max_tokens < 1:
        raise InvalidSetup(f"openai({model!r}): max_tokens={max_tokens}: give 1 or more")
    access = {"api_key": api_key, "base_url": base_url}
    made = OpenAIModel if api == "chat" else ResponsesModel
    return made(model, fixed, access, max_tokens=max_tokens, timeout=seconds(timeout))


class _Reading(Protocol):
    """Assembles a response from a stream."""

    @property
    def complete(self) -> bool:
        """Whether the server has said how the response ended."""
        ...

    @property
    def problem(self) -> tuple[str, str] | None:
        """The code and message of an error in the stream; None: there was none."""
        ...

    def take(self, event: Any, /) -> str:
        """Add the next event; returns the text in it."""
        ...

    def response(self) -> ModelResponse:
        """The complete response."""
        ...


class OpenAIModel(SdkModel):
    """A `Model`, made by `openai()`. Many tasks and event loops may share it."""

    provider = "openai"

    _form = "openai"

    def __init__(
        self,
        model: str,
        fixed: Mapping[str, Any],
        access: Mapping[str, str | None],
        *,
        max_tokens: int | None,
        timeout: float,
    ) -> None:
        super().__init__(timeout)
        self._model = model
        self._fixed = fixed
        self._access = access
        self._max_tokens = max_tokens

    @property
    def name(self) -> str:
        """The server's name for the model."""
        return self._model

    @property
    def _no_key(self) -> str:
        return NO_KEY

    def _key(self) -> str:
        return self._api_key or ""

    def __repr__(self) -> str:
        return f"openai({self._model!r})"

    async def _receive(self, request: ModelRequest, on_text: OnText | None) -> ModelResponse:
        reader = self._reader()
        async with aclosing(self._events(request)) as events:
            async for event in events:  # to the end: the usage comes last
                text = reader.take(event)
                if text and on_text is not None:
                    on_text(text)
        if reader.problem is not None:
            hide = self._secrets(await self._client())
            raise stream_error(*reader.problem, self.name, self._server, hide=hide)
        if not reader.complete:
            raise cut(self.name)
        return reader.response()

    def _reader(self) -> _Reading:
        return Reader(self._model)

    def _load(self) -> Any:
        try:
            sdk = importlib.import_module("openai")
        except ImportError:
            raise InvalidSetup(
                f"openai() needs OpenAI's SDK: {installing('openai')} "
                "(it is used for every server that speaks one of OpenAI's APIs)"
            ) from None
        importlib.import_module("openai.resources.chat")  # loaded on first use otherwise
        return sdk

    def _connect(self, sdk: Any, **options: Any) -> Any:
        return sdk.AsyncOpenAI(api_key=self._api_key, base_url=self._base_url, **options)

    @asynccontextmanager
    async def _stream(self, client: AsyncOpenAI, request: ModelRequest) -> AsyncGenerator[Any]:
        create, fields = self._create(client), self._params(request, client)
        put(self._form, fields)
        async with await create(**continued(fields)) as stream:
            yield stream

    def _create(self, client: AsyncOpenAI) -> Callable[..., Awaitable[Any]]:
        return cast("Callable[..., Awaitable[Any]]", client.chat.completions.create)

    def _explain(
        self, error: Exception, *, reading: bool, hide: Iterable[str]
    ) -> ModelError | None:
        return explain(error, self.name, self._server, reading=reading, hide=hide)

    def _secrets(self, client: AsyncOpenAI | None) -> list[str]:
        return [client.api_key] if client is not None and client.api_key else []

    @property
    def _base_url(self) -> str | None:
        return self._access["base_url"] or os.environ.get("OPENAI_BASE_URL") or None

    @property
    def _api_key(self) -> str | None:
        """The SDK requires a key, even for servers that need none."""
        key = self._access["api_key"] or os.environ.get("OPENAI_API_KEY")
        return key or (None if self._is_official else "none")

    @property
    def _host(self) -> str:
        return (urlsplit(self._base_url).hostname or "") if self._base_url else _OFFICIAL[0]

    @property
    def _is_official(self) -> bool:
        return self._host.endswith(_OFFICIAL)

    @property
    def _server(self) -> str:
        return "OpenAI" if self._host == _OFFICIAL[0] else self._host or "the server"

    def _params(self, request: ModelRequest, client: AsyncOpenAI) -> dict[str, Any]:
        """The SDK's arguments."""
        fields = {"model": self._model, "stream": True, **self._fields(request)}
        return arguments(self._create(client), fields)

    def _fields(self, request: ModelRequest) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "stream_options": {"include_usage": True},
            **write_request(request),
            **self._fixed,
        }
        if (limit := self._limit(request)) is not None:
            # OpenAI's newer models reject the old name; other servers do not know the new one.
            fields["max_completion_tokens" if self._is_official else "max_tokens"] = limit
        return fields

    def _limit(self, request: ModelRequest) -> int | None:
        return request.max_tokens or self._max_tokens


class ResponsesModel(OpenAIModel):
    """A `Model` over the Responses API, made by `openai(..., api="responses")`.

    The run keeps the conversation, and the server stores nothing, unless you set `store` to true. A
    model's reasoning is sent back to it as it came, encrypted.
    """

    _form = "responses"

    def __repr__(self) -> str:
        return f"openai({self._model!r}, api='responses')"

    def _reader(self) -> _Reading:
        return ResponsesReader(self._model)

    def _load(self) -> Any:
        sdk = super()._load()
        importlib.import_module("openai.resources.responses")
        return sdk

    def _create(self, client: AsyncOpenAI) -> Callable[..., Awaitable[Any]]:
        return cast("Callable[..., Awaitable[Any]]", client.responses.create)

    def _fields(self, request: ModelRequest) -> dict[str, Any]:
        stored = bool(self._fixed.get("store", False))
        written = write_response_request(request, stored=stored)
        tools = [*written.pop("tools", []), *self._fixed.get("tools", [])]
        fields = {"store": False, **written, **self._fixed}
        if tools:
            fields["tools"] = tools
        if (limit := self._limit(request)) is not None:
            fields["max_output_tokens"] = limit
        return fields
