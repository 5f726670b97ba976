"""OpenAI's two APIs, and every server that speaks one of them, through OpenAI's own SDK."""

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
from ..model import ModelError, ModelRequest, ModelResponse, OnText
from .client import SdkModel, arguments
from .http import cut
from .openai_errors import NO_KEY, explain, said_in_stream
from .openai_reader import Reader
from .openai_wire import write_request
from .responses_reader import ResponsesReader
from .responses_wire import write_response_request

if TYPE_CHECKING:  # the SDK takes a second to load: only who talks to a model shall pay
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
    """A model of OpenAI's, or of any server that speaks one of its APIs.

    `openai("gpt-5.2")`, `openai("llama4", base_url="http://localhost:11434/v1")` for Ollama, or the
    address of vLLM, Azure (`https://<name>.openai.azure.com/openai/v1`), Gemini, Grok, Groq. It
    needs the extra `openai`. Nothing is loaded or connected before the first request, and
    the SDK never retries by itself: a failed request is retried durably, by the run.

    Args:
        model: The server's name of the model.
        api_key: Default: `OPENAI_API_KEY`; a server of your own needs none.
        base_url: Default: `OPENAI_BASE_URL`, or OpenAI itself.
        api: `chat` for Chat Completions, which every server speaks, or `responses` for the
            Responses API, in which a model's thoughts survive its tool calls.
        max_tokens: Upper bound of a response, unless the agent sets its own; None: the server's.
        timeout: How long one response may take in all: seconds, or text such as `5m`.
        extra: Further fields of the API's request, for instance `{"reasoning_effort": "low"}`. For
            `responses`, its `tools` are the provider's own: `[{"type": "web_search"}]`, say.

    Raises:
        InvalidSetup: a setting cannot work.
        InvalidDuration: `timeout` cannot be read.
    """
    fixed = dict(extra or {})
    if api not in _OURS:
        raise InvalidSetup(f"openai({model!r}): api={api!r}: give 'chat' or 'responses'")
    if clash := sorted(_OURS[api] & set(fixed)):
        raise InvalidSetup(f"openai({model!r}): extra may not hold {', '.join(clash)}")
    if max_tokens is not None and max_tokens < 1:
        raise InvalidSetup(f"openai({model!r}): max_tokens={max_tokens}: give 1 or more")
    access = {"api_key": api_key, "base_url": base_url}
    made = OpenAIModel if api == "chat" else ResponsesModel
    return made(model, fixed, access, max_tokens=max_tokens, timeout=seconds(timeout))


class _Reading(Protocol):
    """Puts a response together from what is streamed."""

    @property
    def complete(self) -> bool:
        """Whether the server has said how the response ended."""
        ...

    @property
    def problem(self) -> tuple[str, str] | None:
        """The code and words of an error that was told in the stream."""
        ...

    def take(self, event: Any, /) -> str:
        """Take what came next; the text that it adds."""
        ...

    def response(self) -> ModelResponse:
        """The whole response."""
        ...


class OpenAIModel(SdkModel):
    """A `Model`, made by `openai()`. Many tasks, and event loops, may use it at once."""

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
        """The server's name of the model."""
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
            async for event in events:  # to the very end: the usage comes last
                text = reader.take(event)
                if text and on_text is not None:
                    on_text(text)
        if reader.problem is not None:
            hide = self._secrets(await self._client())
            raise said_in_stream(*reader.problem, self.name, self._server, hide=hide)
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
        create = self._create(client)
        async with await create(**self._params(request, client)) as stream:
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
        """The SDK insists on one, though a server of one's own may need none."""
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
            # OpenAI's newer models refuse the old name, other servers do not know the new one.
            fields["max_completion_tokens" if self._is_official else "max_tokens"] = limit
        return fields

    def _limit(self, request: ModelRequest) -> int | None:
        return request.max_tokens or self._max_tokens


class ResponsesModel(OpenAIModel):
    """A `Model` over the Responses API, made by `openai(..., api="responses")`.

    The conversation is the run's: the server keeps nothing (`store` is false unless you say
    otherwise), and what a model thought is sent back to it as it came, sealed.
    """

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
