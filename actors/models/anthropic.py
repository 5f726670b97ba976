"""Anthropic's Messages API as a `Model`, through Anthropic's own SDK."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ...runtime.duration import seconds
from ...runtime.errors import InvalidSetup
from ..model import ModelRequest, ModelResponse, OnText
from .anthropic_errors import explain
from .anthropic_wire import cached, read_message, write_request
from .http import cut, late

if TYPE_CHECKING:  # the SDK takes over a second to load: only who talks to a model shall pay
    from anthropic import AsyncAnthropic

_OURS = {"max_tokens", "messages", "model", "stream", "system", "tool_choice", "tools"}
_CONNECT_SECONDS = 10.0


def anthropic(
    model: str,
    *,
    max_tokens: int = 4096,
    api_key: str | None = None,
    base_url: str | None = None,
    timeout: str | float | timedelta = 600.0,
    cache: bool = True,
    thinking: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> AnthropicModel:
    """A Claude model, for instance `anthropic("claude-haiku-4-5")`.

    Nothing is loaded or connected before the first request, and the SDK never retries by itself:
    a failed request is retried durably, by the run.

    Args:
        model: Anthropic's name of the model.
        max_tokens: Upper bound of a response, unless the agent sets its own.
        api_key: Default: what the SDK finds, first of all `ANTHROPIC_API_KEY`.
        base_url: Default: `ANTHROPIC_BASE_URL`, or Anthropic itself.
        timeout: How long one response may take in all: seconds, or text such as `5m`.
        cache: Let Anthropic cache the prompt (ephemeral, 5 minutes).
        thinking: The API's `thinking` object, for instance `{"type": "adaptive"}`.
        extra: Further fields of the API's request, for instance `{"service_tier": "auto"}`.

    Raises:
        InvalidSetup: a setting cannot work.
        InvalidDuration: `timeout` cannot be read.
    """
    fixed = {**({} if thinking is None else {"thinking": dict(thinking)}), **(extra or {})}
    if clash := sorted(_OURS & set(fixed)):
        raise InvalidSetup(f"anthropic({model!r}): extra may not hold {', '.join(clash)}")
    if max_tokens < 1:
        raise InvalidSetup(f"anthropic({model!r}): max_tokens={max_tokens}: give 1 or more")
    access = {"api_key": api_key, "base_url": base_url}
    defaults: dict[str, Any] = {"model": model, "max_tokens": max_tokens}
    return AnthropicModel({**defaults, **fixed}, access, timeout=seconds(timeout), cache=cache)


class AnthropicModel:
    """A `Model`, made by `anthropic()`. Many tasks, and event loops, may use it at once."""

    def __init__(
        self,
        fixed: Mapping[str, Any],
        access: Mapping[str, str | None],
        *,
        timeout: float,
        cache: bool,
    ) -> None:
        self._fixed = fixed
        self._access = access
        self._timeout = timeout
        self._cache = cache
        # A connection belongs to the event loop that opened it, so each loop has its own pool.
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncAnthropic] = (
            WeakKeyDictionary()
        )

    @property
    def name(self) -> str:
        """Anthropic's name of the model."""
        return str(self._fixed["model"])

    def __repr__(self) -> str:
        return f"anthropic({self.name!r})"

    async def respond(self, request: ModelRequest, on_text: OnText | None = None) -> ModelResponse:
        """Answer one request; `on_text` sees text as it arrives.

        A refusal is a response: its `stop_reason` says so.

        Raises:
            ModelError: the API failed or refused the request; see its `retryable`.
        """
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                return read_message(await self._receive(request, on_text))
        except TimeoutError:
            if not limit.expired():
                raise  # from `on_text`
            raise late(self.name, self._timeout) from None

    async def aclose(self) -> None:
        """Close the connections that this event loop has opened; they open again when needed."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    async def _receive(self, request: ModelRequest, on_text: OnText | None) -> Any:
        """The complete message, in the SDK's form."""
        complete: Any = None
        async with aclosing(self._events(request)) as events:
            async for event in events:  # to the very end, so that the connection can be used again
                if event.type == "text" and on_text is not None:
                    on_text(event.text)
                elif event.type == "message_stop":
                    complete = event.message
        if complete is None:
            raise cut(self.name)
        return complete

    async def _events(self, request: ModelRequest) -> AsyncGenerator[Any, None]:
        client: AsyncAnthropic | None = None
        reading = False
        try:
            client = await self._client()
            async with client.messages.stream(**self._params(request, client)) as stream:
                reading = True
                async for event in stream:
                    yield event
        except Exception as error:
            explained = explain(error, self.name, reading=reading, hide=_secrets(client))
            if explained is None:
                raise
            # The cause holds the request, and with it the key: it shall reach no traceback.
            raise explained from None

    async def _client(self) -> AsyncAnthropic:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            sdk = await asyncio.to_thread(_load_sdk)
            timeout = sdk.Timeout(self._timeout, connect=min(self._timeout, _CONNECT_SECONDS))
            if loop not in self._clients:  # another task may have been faster
                client = sdk.AsyncAnthropic(**self._access, timeout=timeout, max_retries=0)
                self._clients[loop] = client
        return self._clients[loop]

    def _params(self, request: ModelRequest, client: AsyncAnthropic) -> dict[str, Any]:
        """The SDK's arguments. Fields that it does not know go into the body as they are."""
        known = set(inspect.signature(client.messages.stream).parameters)
        fields: dict[str, Any] = {**write_request(request), **self._fixed}
        if request.max_tokens is not None:
            fields["max_tokens"] = request.max_tokens
        if self._cache:
            fields = cached(fields, whole="cache_control" in known)
        params = {name: value for name, value in fields.items() if name in known}
        unknown = {name: value for name, value in fields.items() if name not in known}
        if unknown:
            params["extra_body"] = {**unknown, **params.get("extra_body", {})}
        return params


def _load_sdk() -> Any:
    sdk = importlib.import_module("anthropic")
    importlib.import_module("anthropic.resources.messages")  # loaded on first use otherwise
    return sdk


def _secrets(client: AsyncAnthropic | None) -> list[str]:
    """What a gateway may repeat in its error, and nobody may read there."""
    return [] if client is None else [key for key in (client.api_key, client.auth_token) if key]
