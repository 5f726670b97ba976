"""The common part of models behind a provider's SDK: clients, time limits, streams, errors."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from ...runtime.errors import InvalidSetup
from .http import late
from .model import ModelError, ModelRequest, ModelResponse, OnText

_CONNECT_SECONDS = 10.0


class SdkModel(ABC):
    """A `Model` over an SDK. Many tasks and event loops may share it."""

    provider: ClassVar[str]
    """Whose API it is, as traces name it."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        # A connection belongs to the event loop that opened it, so each loop has its own pool.
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()

    @property
    @abstractmethod
    def name(self) -> str:
        """The provider's name for the model."""

    async def respond(self, request: ModelRequest, on_text: OnText | None = None) -> ModelResponse:
        """Answer one request; `on_text` gets the text as it arrives.

        A model's refusal is a response too: see its `stop_reason`.

        Raises:
            ModelError: the API failed or rejected the request; see its `retryable`.
        """
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                return await self._receive(request, on_text)
        except TimeoutError:
            if not limit.expired():
                raise  # from `on_text`
            raise late(self.name, self._timeout) from None

    @property
    def key_missing(self) -> str:
        """A message that the key is missing; empty if there is one, or none is needed."""
        return "" if self._key() else self._no_key

    @property
    def key_mark(self) -> str:
        """A mark that tells keys apart: 16 bits, too few to reveal anything about a key."""
        return hashlib.blake2b(self._key().encode(), digest_size=2).hexdigest()

    @property
    @abstractmethod
    def _no_key(self) -> str:
        """The message for a missing key."""

    @abstractmethod
    def _key(self) -> str:
        """The key that the SDK will use; empty: none."""

    async def aclose(self) -> None:
        """Close this event loop's connections; they open again when they are needed."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    async def _events(self, request: ModelRequest) -> AsyncGenerator[Any, None]:
        """The events that the API streams. Raises ModelError for the API's errors."""
        client: Any = None
        reading = False
        try:
            client = await self._client()
            async with self._stream(client, request) as stream:
                reading = True
                async for event in stream:
                    yield event
        except (InvalidSetup, ModelError):
            raise
        except Exception as error:
            # No variable may hold the key here, because some loggers show variables.
            explained = self._explain(error, reading=reading, hide=self._secrets(client))
            if explained is None:
                raise
            # The cause contains the request and its key, which must not reach a traceback.
            raise explained from None

    async def _client(self) -> Any:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            sdk = await asyncio.to_thread(self._load)
            timeout = sdk.Timeout(self._timeout, connect=min(self._timeout, _CONNECT_SECONDS))
            if loop not in self._clients:  # another task may have been faster
                self._clients[loop] = self._connect(sdk, timeout=timeout, max_retries=0)
        return self._clients[loop]

    @abstractmethod
    async def _receive(self, request: ModelRequest, on_text: OnText | None) -> ModelResponse:
        """The complete response, read from `_events`."""

    @abstractmethod
    def _load(self) -> Any:
        """Load the SDK, with everything that it loads on first use; called in a thread."""

    @abstractmethod
    def _connect(self, sdk: Any, **options: Any) -> Any:
        """Make the SDK's client."""

    @abstractmethod
    def _stream(self, client: Any, request: ModelRequest) -> AbstractAsyncContextManager[Any]:
        """Send a request and stream the API's answer."""

    @abstractmethod
    def _explain(
        self, error: Exception, *, reading: bool, hide: Iterable[str]
    ) -> ModelError | None:
        """The `ModelError` for an error of the SDK; None if the API did not cause it."""

    @abstractmethod
    def _secrets(self, client: Any) -> list[str]:
        """Secrets of a client, which a gateway may repeat in its errors; none without a client."""


def arguments(function: Callable[..., Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """A request's fields as arguments of an SDK function; unknown ones go into `extra_body`."""
    known = set(inspect.signature(function).parameters)
    given = {name: value for name, value in fields.items() if name in known}
    unknown = {name: value for name, value in fields.items() if name not in known}
    if unknown:
        given["extra_body"] = {**unknown, **given.get("extra_body", {})}
    return given
