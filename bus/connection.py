"""One connection to NATS: it fails fast at first, and reconnects patiently once connected."""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
import re
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Self

from nats import errors as nats_errors
from nats.aio.client import Server

from . import credentials
from .errors import (
    BusError,
    InvalidSettings,
    LoginRefused,
    PermissionDenied,
    ServerUnavailable,
)
from .nats_client import NatsClient
from .server_version import check_version
from .settings import ConnectionSettings
from .wire import Wire

__all__ = ["Connection", "ConnectionSettings", "Hook", "connect"]

Hook = Callable[[], Awaitable[None] | None]
"""Called when the state of a connection changes; what it raises is logged."""

_UNLIMITED: Final = -1
_QUICK_RECONNECTS: Final = 4
_LONGEST_PAUSE: Final = 2.0
_ENCRYPT: Final = (
    "the password went over the network in clear: give the server a certificate and connect with "
    "tls://, or log in with credentials or an nkey"
)
_CLOSE_WITHIN: Final = 2.0
_PING_EVERY: Final = 2
"""Seconds between two pings. A server that has stopped talking is given up after two pings without
a reply, in 4 to 6 s; a cluster needs as long to elect leaders in its place."""
_REMEMBERED: Final = 256
_VIOLATION: Final = re.compile(
    r'permissions violation for (?:publish|subscription) (?:to|with reply of) "([^"]*)"',
    re.IGNORECASE,
)
_FULL: Final = "maximum account active connections exceeded"
_REFUSAL: Final = re.compile(
    r"authorization violation|user authentication|account auth", re.IGNORECASE
)
_log = logging.getLogger(__name__)


async def connect(settings: ConnectionSettings, *, patient: bool = True) -> Connection:
    """Connect, or say quickly why not.

    Args:
        settings: where and how.
        patient: once connected, wait out every outage, however long, as a worker should; otherwise
            give up after a few seconds, as a command should.

    Raises:
        ServerUnavailable: nothing answers there. A refusal comes immediately; silence takes
            `settings.timeout` for each server.
        LoginRefused: the server does not accept the credentials.
        InvalidSettings: a file that the settings name is missing or wrong.
        ServerTooOld: the server is older than 2.12.
    """
    connection = Connection(settings)
    await connection.open(patient=patient)
    return connection


class Connection:
    """A connection to NATS; `connect` makes them.

    While it is down, a publish fails immediately and is not buffered: what was reported as failed
    is never sent later.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings
        self.on_disconnect: list[Hook] = []
        """Called when the connection is lost, not when you close it."""
        self.on_reconnect: list[Hook] = []
        """Called when it is back."""
        self.on_denied: list[Callable[[PermissionDenied], None]] = []
        """Called with each refusal of a subject; a refused request gets no other reply."""
        self.on_closed: list[Hook] = []
        """Called when the client has given up reconnecting: end the process, so that it is
        restarted. Not called when you close it."""
        self._client = NatsClient(demands_tls=settings.demands_tls)
        self._closed_by_us = False
        self._failures: list[Exception] = []
        self._pool: list[Server] = []
        """The servers that were known when it was last lost."""
        self._denied: OrderedDict[str, float] = OrderedDict()
        self._patient = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def nc(self) -> Wire:
        """The nats-py client."""
        return self._client

    @property
    def server_version(self) -> str:
        """The version that the server reports."""
        return self._client.version

    @property
    def is_clustered(self) -> bool:
        """Whether the server is one of a cluster."""
        return self._client.is_clustered

    @property
    def demands_login(self) -> bool:
        """Whether the server requires a login."""
        return self._client.demands_login

    def __repr__(self) -> str:
        state = "connected" if self.nc.is_connected else "not connected"
        return f"<Connection {self.settings.shown} {state}>"

    async def open(self, *, patient: bool = True) -> None:
        """Connect; see `connect`."""
        self._patient = patient
        if not self.settings.is_configured:
            raise InvalidSettings("No server is named. Set NATS_URL=nats://host:4222.")
        options = {**credentials.options(self.settings), **self._options()}
        try:
            async with asyncio.timeout(self.settings.timeout * len(self.settings.servers)):
                await self.nc.connect(list(self.settings.servers), **options)
            check_version(self._client.version, self.settings.shown)
        except (OSError, ValueError, nats_errors.Error) as error:  # a TimeoutError is an OSError
            await self.close()
            raise self._explain(error) from error
        except BaseException:
            await self.close()
            raise
        self._failures.clear()
        if self.settings.sends_secret and not self._client.is_encrypted:
            _log.warning(
                "connection.login_in_clear server=%s advice=%s", self.settings.shown, _ENCRYPT
            )
        # The client has one limit for the first connection and all later ones, and reads it at each
        # attempt.
        self.nc.options["max_reconnect_attempts"] = _UNLIMITED if patient else _QUICK_RECONNECTS

    async def close(self) -> None:
        """Close the connection; it cannot be opened again. Does nothing when it is closed."""
        self._closed_by_us = True
        if self.nc.is_closed:
            return
        # A peer that reads nothing would block this forever.
        with suppress(TimeoutError, OSError, AssertionError, nats_errors.Error):
            async with asyncio.timeout(_CLOSE_WITHIN):
                await self.nc.close()

    def last_permission_error(
        self, subject: str, *, within: float = 10.0
    ) -> PermissionDenied | None:
        """The server's refusal of this subject in the last `within` seconds, if there was one.

        A refused request gets no reply: check here when a request has timed out.
        """
        when = self._denied.get(subject.lower())  # the client reports it in lower case
        if when is None or _now() - when > within:
            return None
        inbox = self.settings.inbox_prefix
        if subject.lower().startswith(f"{inbox.lower()}."):
            return PermissionDenied(
                f"The server does not let this user ({self.settings.login}) receive replies on "
                f"{inbox}.>: name the inbox prefix that its permissions allow, with "
                "NATS_INBOX_PREFIX, --inbox-prefix or `inbox_prefix` of the context.",
                subject=subject,
            )
        return PermissionDenied(
            f"The server does not let this user ({self.settings.login}) use the subject "
            f"{subject!r}. Ask its operator for the permission, or log in as another user.",
            subject=subject,
        )

    def _options(self) -> dict[str, Any]:
        settings = self.settings
        options: dict[str, Any] = {
            "name": settings.name,
            "connect_timeout": settings.timeout,
            "max_reconnect_attempts": 1,  # for the first connection: 0 or less means forever
            "reconnect_time_wait": 0.05,
            "ping_interval": _PING_EVERY,
            "pending_size": -1,  # or a publish that failed in an outage would be sent after it
            "inbox_prefix": settings.inbox_prefix,
            "tls_handshake_first": settings.tls_first,
            "reconnect_to_server_handler": self._next_server,
            "error_cb": self._on_error,
            "disconnected_cb": self._on_disconnected,
            "reconnected_cb": self._on_reconnected,
            "closed_cb": self._on_closed,
        }
        if tls := settings.tls_context():
            options["tls"] = tls
        return options

    def _next_server(self, pool: list[Server], _: dict[str, Any]) -> tuple[Server, float]:
        """The server to try next, and the pause before it: all in turn, with growing pauses.

        The one that was lost comes last: it may accept a connection and never say a word. The
        jitter keeps a fleet of workers from connecting all at the same moment.
        """
        self._pool, tried = pool, self._client.tried
        server = min(pool, key=lambda one: (one.reconnects, one.uri.netloc == tried))
        pause = min(_LONGEST_PAUSE, 0.05 * 2 ** min(server.reconnects, 10))
        return server, pause * random.uniform(0.5, 1.0)  # noqa: S311

    def _explain(self, error: Exception) -> BusError:
        """Why there is no connection: the servers' own errors count more than our timeout."""
        reasons = [*self._failures, error]
        for reason in reasons:
            if _REFUSAL.search(str(reason)):
                return LoginRefused(
                    f"{self._where} refuses the login ({self.settings.login}). "
                    f"{self.settings.login_remedy}"
                )
            if _FULL in str(reason):
                return ServerUnavailable(
                    f"{self._where} has no connection left for the account of this login "
                    f"({self.settings.login}): close some, or raise `layby accounts config "
                    "--max-connections`."
                )
        return ServerUnavailable(
            f"Cannot connect to {self._where}: {_plain(reasons)}. Is it running, and reachable "
            f"from here? {self.settings.remedy}"
        )

    @property
    def _where(self) -> str:
        source = f" (from {self.settings.source})" if self.settings.source else ""
        return f"{self.settings.shown}{source}"

    async def _on_error(self, error: Exception) -> None:
        if match := _VIOLATION.search(str(error)):
            self._note_refusal(match[1].lower())
            return
        if isinstance(error, ssl.SSLError):
            self._client.abandon_transport()
        if not self.nc.is_connected:
            self._failures = [*self._failures[-7:], error]
        _log.debug("connection.error error=%r", error)

    def _note_refusal(self, subject: str) -> None:
        if subject not in self._denied and self._patient:  # a command reports it itself
            _log.warning("connection.permission_denied subject=%r", subject)
        self._denied[subject] = _now()
        self._denied.move_to_end(subject)
        if len(self._denied) > _REMEMBERED:
            self._denied.popitem(last=False)
        if error := self.last_permission_error(subject):
            for hook in self.on_denied:
                hook(error)

    async def _on_disconnected(self) -> None:
        if not self._closed_by_us:
            _log.warning("connection.lost server=%s", self.settings.shown)
            await _call(self.on_disconnect)

    async def _on_reconnected(self) -> None:
        self._failures.clear()
        for server in self._pool:
            server.reconnects = (
                0  # or the first to come back from an outage is tried first for ever
            )
        _log.warning("connection.restored server=%s", self.settings.shown)
        await _call(self.on_reconnect)

    async def _on_closed(self) -> None:
        if not self._closed_by_us:
            _log.error("connection.given_up server=%s", self.settings.shown)
            await _call(self.on_closed)


def _plain(reasons: list[Exception]) -> str:
    """The most informative of the reasons, in words."""
    first = next(
        (reason for reason in reasons if not isinstance(reason, nats_errors.NoServersError)),
        reasons[-1],
    )
    if isinstance(first, nats_errors.SecureConnWantedError):
        return "it does not offer TLS, which the settings demand"
    if isinstance(first, ssl.SSLError):
        return f"TLS failed ({first.reason or first})"
    if isinstance(first, TimeoutError):
        return "it does not answer"
    if "Connect call failed" in str(first):
        return "nothing listens there"
    if isinstance(first, OSError) and first.strerror:
        return first.strerror
    return str(first).removeprefix("nats: ") or type(first).__name__


async def _call(hooks: list[Hook]) -> None:
    for hook in tuple(hooks):
        try:
            result = hook()
            if inspect.isawaitable(result):
                await result
        except Exception as error:  # noqa: BLE001  or the client would stop reconnecting
            _log.error("connection.hook_failed error=%r", error)


def _now() -> float:
    return asyncio.get_running_loop().time()
