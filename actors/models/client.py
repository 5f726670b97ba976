"""What all models behind a provider's SDK have in common: clients, time limits, streams, errors."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any
from weakref import WeakKeyDictionary

from ...runtime.errors import InvalidSetup
from ..model import ModelError, ModelRequest, ModelResponse, OnText
from .http import late

_CONNECT_SECONDS = 10.0


class SdkModel(ABC):
    """A `Model` over an SDK. Many tasks, and event loops, may use it at once."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        # A connection belongs to the event loop that opened it, so each loop has its own pool.
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()

    @property
    @abstractmethod
    def name(self) -> str:
        """The provider's name of the model."""

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

    @property
    def key_missing(self) -> str:
        """That there is no key, and where to put one; empty where there is one, or none needed."""
        return "" if self._key() else self._no_key

    @property
    def key_mark(self) -> str:
        """What tells one key from another: 16 bits, too few to tell anything of either."""
        return hashlib.blake2b(self._key().encode(), digest_size=2).hexdigest()

    @property
    @abstractmethod
    def _no_key(self) -> str:
        """What to say where there is no key."""

    @abstractmethod
    def _key(self) -> str:
        """The key that the SDK will use; empty where there is none."""

    async def aclose(self) -> None:
        """Close the connections that this event loop has opened; they open again when needed."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    async def _events(self, request: ModelRequest) -> AsyncGenerator[Any, None]:
        """What the API streams. Raises ModelError for what it did wrong."""
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
            # No variable may hold the key here: there are loggers that show them.
            explained = self._explain(error, reading=reading, hide=self._secrets(client))
            if explained is None:
                raise
            # The cause holds the request, and with it the key: it shall reach no traceback.
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
        """The whole response, out of `_events`."""

    @abstractmethod
    def _load(self) -> Any:
        """The SDK, with everything that it would load on first use; called in a thread."""

    @abstractmethod
    def _connect(self, sdk: Any, **options: Any) -> Any:
        """The SDK's client."""

    @abstractmethod
    def _stream(self, client: Any, request: ModelRequest) -> AbstractAsyncContextManager[Any]:
        """The API's answer to a request, event by event."""

    @abstractmethod
    def _explain(
        self, error: Exception, *, reading: bool, hide: Iterable[str]
    ) -> ModelError | None:
        """The error for what the SDK raised; None if the API has no part in it."""

    @abstractmethod
    def _secrets(self, client: Any) -> list[str]:
        """What a gateway may repeat in its error, and nobody may read there; of no client, none."""


def arguments(function: Callable[..., Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """A request's fields as an SDK function takes them; what it does not know goes as it is."""
    known = set(inspect.signature(function).parameters)
    given = {name: value for name, value in fields.items() if name in known}
    unknown = {name: value for name, value in fields.items() if name not in known}
    if unknown:
        given["extra_body"] = {**unknown, **given.get("extra_body", {})}
    return given
