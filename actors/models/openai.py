"""OpenAI's Chat Completions API, and every server that speaks it, through OpenAI's own SDK."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from ...runtime.duration import seconds
from ...runtime.errors import InvalidSetup
from ..model import ModelError, ModelRequest, ModelResponse, OnText
from .http import cut, late
from .openai_errors import explain
from .openai_reader import Reader
from .openai_wire import write_request

if TYPE_CHECKING:  # the SDK takes a second to load: only who talks to a model shall pay
    from openai import AsyncOpenAI

_OURS = {"messages", "model", "stream", "stream_options", "tool_choice", "tools"}
_CONNECT_SECONDS = 10.0
_OFFICIAL = ("api.openai.com", ".openai.azure.com")
_MISSING = (
    "openai() needs OpenAI's SDK: install it with `pip install 'layby[openai]'` "
    "(it is used for every server that speaks the Chat Completions API)"
)


def openai(
    model: str,
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    max_tokens: int | None = None,
    timeout: str | float | timedelta = 600.0,
    extra: Mapping[str, Any] | None = None,
) -> OpenAIModel:
    """A model of OpenAI's, or of any server that speaks the Chat Completions API.

    `openai("gpt-5.2")`, `openai("llama4", base_url="http://localhost:11434/v1")` for Ollama, or the
    address of vLLM, Azure (`https://<name>.openai.azure.com/openai/v1`), Gemini, Grok, Groq. It
    needs the extra `layby[openai]`. Nothing is loaded or connected before the first request, and
    the SDK never retries by itself: a failed request is retried durably, by the run.

    Args:
        model: The server's name of the model.
        api_key: Default: `OPENAI_API_KEY`; a server of your own needs none.
        base_url: Default: `OPENAI_BASE_URL`, or OpenAI itself.
        max_tokens: Upper bound of a response, unless the agent sets its own; None: the server's.
        timeout: How long one response may take in all: seconds, or text such as `5m`.
        extra: Further fields of the API's request, for instance `{"reasoning_effort": "low"}`.

    Raises:
        InvalidSetup: a setting cannot work.
        InvalidDuration: `timeout` cannot be read.
    """
    fixed = dict(extra or {})
    if clash := sorted(_OURS & set(fixed)):
        raise InvalidSetup(f"openai({model!r}): extra may not hold {', '.join(clash)}")
    if max_tokens is not None and max_tokens < 1:
        raise InvalidSetup(f"openai({model!r}): max_tokens={max_tokens}: give 1 or more")
    access = {"api_key": api_key, "base_url": base_url}
    return OpenAIModel(model, fixed, access, max_tokens=max_tokens, timeout=seconds(timeout))


class OpenAIModel:
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
        self._model = model
        self._fixed = fixed
        self._access = access
        self._max_tokens = max_tokens
        self._timeout = timeout
        # A connection belongs to the event loop that opened it, so each loop has its own pool.
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncOpenAI] = (
            WeakKeyDictionary()
        )

    @property
    def name(self) -> str:
        """The server's name of the model."""
        return self._model

    def __repr__(self) -> str:
        return f"openai({self._model!r})"

    async def respond(self, request: ModelRequest, on_text: OnText | None = None) -> ModelResponse:
        """Answer one request; `on_text` sees text as it arrives.

        A refusal is a response: its `stop_reason` says so.

        Raises:
            ModelError: the API failed or refused the request; see its `retryable`.
        """
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                return await self._receive(request, on_text)
        except TimeoutError:
            if not limit.expired():
                raise  # from `on_text`
            raise late(self.name, self._timeout) from None

    async def aclose(self) -> None:
        """Close the connections that this event loop has opened; they open again when needed."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    async def _receive(self, request: ModelRequest, on_text: OnText | None) -> ModelResponse:
        reader = Reader(self._model)
        async with aclosing(self._chunks(request)) as chunks:
            async for chunk in chunks:  # to the very end: the usage comes last
                text = reader.take(chunk)
                if text and on_text is not None:
                    on_text(text)
        if not reader.complete:
            raise cut(self.name)
        return reader.response()

    async def _chunks(self, request: ModelRequest) -> AsyncGenerator[Any, None]:
        client: AsyncOpenAI | None = None
        reading = False
        try:
            client = await self._client()
            params = self._params(request, client)
            create = cast("Callable[..., Awaitable[Any]]", client.chat.completions.create)
            async with await create(**params) as stream:
                reading = True
                async for chunk in stream:
                    yield chunk
        except (InvalidSetup, ModelError):
            raise
        except Exception as error:
            # No variable may hold the key here: there are loggers that show them.
            explained = explain(
                error, self.name, self._server, reading=reading, hide=_secrets(client)
            )
            if explained is None:
                raise
            # The cause holds the request, and with it the key: it shall reach no traceback.
            raise explained from None

    async def _client(self) -> AsyncOpenAI:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            sdk = await asyncio.to_thread(_load_sdk)
            timeout = sdk.Timeout(self._timeout, connect=min(self._timeout, _CONNECT_SECONDS))
            if loop not in self._clients:  # another task may have been faster
                client = sdk.AsyncOpenAI(
                    api_key=self._api_key, base_url=self._base_url, timeout=timeout, max_retries=0
                )
                self._clients[loop] = client
        return self._clients[loop]

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
        """The SDK's arguments. Fields that it does not know go into the body as they are."""
        fields: dict[str, Any] = {
            "model": self._model,
            "stream": True,
            "stream_options": {"include_usage": True},
            **write_request(request),
            **self._fixed,
        }
        limit = request.max_tokens or self._max_tokens
        if limit is not None:
            # OpenAI's newer models refuse the old name, other servers do not know the new one.
            fields["max_completion_tokens" if self._is_official else "max_tokens"] = limit
        known = set(inspect.signature(client.chat.completions.create).parameters)
        params = {name: value for name, value in fields.items() if name in known}
        unknown = {name: value for name, value in fields.items() if name not in known}
        if unknown:
            params["extra_body"] = {**unknown, **params.get("extra_body", {})}
        return params


def _secrets(client: AsyncOpenAI | None) -> list[str]:
    """What a gateway may repeat in its error, and nobody may read there."""
    return [client.api_key] if client is not None and client.api_key else []


def _load_sdk() -> Any:
    try:
        sdk = importlib.import_module("openai")
    except ImportError:
        raise InvalidSetup(_MISSING) from None
    importlib.import_module("openai.resources.chat")  # loaded on first use otherwise
    return sdk
