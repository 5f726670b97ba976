"""Anthropic's Messages API as a `Model`, through Anthropic's own SDK."""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ...runtime.duration import seconds
from ...runtime.errors import InvalidSetup
from .anthropic_errors import NO_KEY, explain
from .anthropic_wire import PROVIDER, cached, read_message, write_request
from .asking import continued, has_span
from .client import SdkModel, arguments
from .http import cut
from .model import ModelError, ModelRequest, ModelResponse, OnText
from .outbox import put

if TYPE_CHECKING:  # loading the SDK takes over a second
    from anthropic import AsyncAnthropic

_KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
_OURS = {"max_tokens", "messages", "model", "stream", "system", "tool_choice", "tools"}


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

    Nothing is loaded or connected before the first request. The SDK does not retry by itself: the
    run retries a failed request durably.

    Args:
        model: Anthropic's name for the model.
        max_tokens: The most tokens of a response, unless the agent sets its own limit.
        api_key: The API key; default: the one that the SDK finds, usually `ANTHROPIC_API_KEY`.
        base_url: The API's address; default: `ANTHROPIC_BASE_URL`, or else Anthropic itself.
        timeout: How long one response may take in total: seconds, or text such as `5m`.
        cache: Whether Anthropic may cache the prompt (ephemeral, 5 minutes).
        thinking: The API's `thinking` object, for instance `{"type": "adaptive"}`.
        extra: More fields for the API's request, for instance `{"service_tier": "auto"}`.

    Raises:
        InvalidSetup: a setting is not possible.
        InvalidDuration: `timeout` is not a duration.
    """
    fixed = {**({} if thinking is None else {"thinking": dict(thinking)}), **(extra or {})}
    if clash := sorted(_OURS & set(fixed)):
        raise InvalidSetup(f"anthropic({model!r}): extra must not contain {', '.join(clash)}")
    if max_tokens < 1:
        raise InvalidSetup(f"anthropic({model!r}): max_tokens={max_tokens}: give 1 or more")
    access = {"api_key": api_key, "base_url": base_url}
    defaults: dict[str, Any] = {"model": model, "max_tokens": max_tokens}
    return AnthropicModel({**defaults, **fixed}, access, timeout=seconds(timeout), cache=cache)


class AnthropicModel(SdkModel):
    """A `Model`, made by `anthropic()`. Many tasks and event loops may share it."""

    provider = PROVIDER

    def __init__(
        self,
        fixed: Mapping[str, Any],
        access: Mapping[str, str | None],
        *,
        timeout: float,
        cache: bool,
    ) -> None:
        super().__init__(timeout)
        self._fixed = fixed
        self._access = access
        self._cache = cache

    @property
    def name(self) -> str:
        """Anthropic's name for the model."""
        return str(self._fixed["model"])

    @property
    def _no_key(self) -> str:
        return NO_KEY

    def _key(self) -> str:
        named = (os.environ.get(name) for name in _KEYS)
        return next(filter(None, (self._access["api_key"], *named)), "")

    def __repr__(self) -> str:
        return f"anthropic({self.name!r})"

    async def _receive(self, request: ModelRequest, on_text: OnText | None) -> ModelResponse:
        complete: Any = None
        async with aclosing(self._events(request)) as events:
            async for event in events:  # to the end, so that the connection can be reused
                if event.type == "text" and on_text is not None:
                    on_text(event.text)
                elif event.type == "message_stop":
                    complete = event.message
        if complete is None:
            raise cut(self.name)
        return read_message(complete)

    def _load(self) -> Any:
        sdk = importlib.import_module("anthropic")
        importlib.import_module("anthropic.resources.messages")  # loaded on first use otherwise
        return sdk

    def _connect(self, sdk: Any, **options: Any) -> Any:
        return sdk.AsyncAnthropic(**self._access, **options)

    def _stream(
        self, client: AsyncAnthropic, request: ModelRequest
    ) -> AbstractAsyncContextManager[Any]:
        fields = self._params(request, client)
        put(PROVIDER, {**fields, "stream": True})
        if has_span():
            client = _without_spans(client)
        return client.messages.stream(**continued(fields))

    def _explain(
        self, error: Exception, *, reading: bool, hide: Iterable[str]
    ) -> ModelError | None:
        return explain(error, self.name, reading=reading, hide=hide)

    def _secrets(self, client: AsyncAnthropic | None) -> list[str]:
        return [] if client is None else [key for key in (client.api_key, client.auth_token) if key]

    def _params(self, request: ModelRequest, client: AsyncAnthropic) -> dict[str, Any]:
        """The SDK's arguments."""
        fields: dict[str, Any] = {**write_request(request), **self._fixed}
        if request.max_tokens is not None:
            fields["max_tokens"] = request.max_tokens
        if self._cache:
            known = inspect.signature(client.messages.stream).parameters
            fields = cached(fields, top_level="cache_control" in known)
        return arguments(client.messages.stream, fields)


def _without_spans(client: AsyncAnthropic) -> AsyncAnthropic:
    """The same client without spans of its own: the request has one already."""
    known = inspect.signature(client.with_options).parameters
    return client.with_options(open_telemetry=False) if "open_telemetry" in known else client
