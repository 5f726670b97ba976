"""One connection to NATS: quick to say that it cannot be had, and patient once it was had."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
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

from .errors import (
    BusError,
    InvalidSettings,
    LoginRefused,
    PermissionDenied,
    ServerTooOld,
    ServerUnavailable,
)
from .install import installing
from .settings import ConnectionSettings, readable
from .wire import Wire

__all__ = ["Connection", "ConnectionSettings", "Hook", "check_version", "connect"]

Hook = Callable[[], Awaitable[None] | None]
"""Called when the state of a connection changes; what it raises is logged."""

OLDEST_SERVER: Final = (2, 12)
"""The oldest nats-server that will do: it brought message schedules, which our timers are."""

_PATIENT: Final = -1
_TRIES_OF_THE_IMPATIENT: Final = 4
_LONGEST_PAUSE: Final = 2.0
_ENCRYPT: Final = (
    "the password went over the network in clear: give the server a certificate and connect with "
    "tls://, or log in with credentials or an nkey"
)
_CLOSE_WITHIN: Final = 2.0
_REMEMBERED: Final = 256
_VIOLATION: Final = re.compile(
    r'permissions violation for (?:publish|subscription) (?:to|with reply of) "([^"]*)"',
    re.IGNORECASE,
)
_REFUSAL: Final = re.compile(
    r"authorization violation|user authentication|account auth", re.IGNORECASE
)
_log = logging.getLogger(__name__)


async def connect(settings: ConnectionSettings, *, patient: bool = True) -> Connection:
    """Connect, or say within a moment why not.

    Args:
        settings: where and how.
        patient: once connected, wait out every outage, however long, as a worker should; otherwise
            give up after a few seconds, as a command should.

    Raises:
        ServerUnavailable: nothing answers there. Refusals come at once, silence takes
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

    While it is down, a publish fails at once rather than being kept back: nothing that was reported
    as failed is sent later.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings
        self.on_disconnect: list[Hook] = []
        """Called when the connection is lost, not when you close it."""
        self.on_reconnect: list[Hook] = []
        """Called when it is back."""
        self.on_denied: list[Callable[[PermissionDenied], None]] = []
        """Called with each refusal of a subject; a refused request gets no other answer."""
        self.on_closed: list[Hook] = []
        """Called when the client has given up for good: end the process, so that it is restarted.
        Not called when you close it."""
        self._client = _Client(demands_tls=settings.demands_tls)
        self._closing = False
        self._failures: list[Exception] = []
        self._denied: OrderedDict[str, float] = OrderedDict()
        self._patient = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def nc(self) -> Wire:
        """The client, for what this class does not offer."""
        return self._client

    @property
    def server_version(self) -> str:
        """What the server says its version is."""
        return self._client.version

    @property
    def demands_login(self) -> bool:
        """Whether the server asks who connects."""
        return self._client.demands_login

    def __repr__(self) -> str:
        state = "connected" if self.nc.is_connected else "not connected"
        return f"<Connection {self.settings.shown} {state}>"

    async def open(self, *, patient: bool = True) -> None:
        """Connect; see `connect`."""
        self._patient = patient
        if not self.settings.is_configured:
            raise InvalidSettings("No server is named. Set NATS_URL=nats://host:4222.")
        options = {**_login(self.settings), **self._options()}
        try:
            async with asyncio.timeout(self.settings.timeout * len(self.settings.servers)):
                await self.nc.connect(list(self.settings.servers), **options)
            check_version(self._client.version, self.settings.shown)
        except (OSError, ValueError, nats_errors.Error) as error:  # a TimeoutError is an OSError
            await self.close()
            raise self._explained(error) from error
        except BaseException:
            await self.close()
            raise
        self._failures.clear()
        if self.settings.sends_secret and not self._client.is_encrypted:
            _log.warning(
                "connection.login_in_clear server=%s advice=%s", self.settings.shown, _ENCRYPT
            )
        # The client has one limit for the first connection and for all later ones; it reads this
        # at each attempt.
        self.nc.options["max_reconnect_attempts"] = _PATIENT if patient else _TRIES_OF_THE_IMPATIENT

    async def close(self) -> None:
        """Close the connection; it cannot be opened again. Does nothing when it is closed."""
        self._closing = True
        if self.nc.is_closed:
            return
        # A peer that reads nothing would hold the rest of the buffer, and us, for ever.
        with suppress(TimeoutError, OSError, AssertionError, nats_errors.Error):
            async with asyncio.timeout(_CLOSE_WITHIN):
                await self.nc.close()

    def last_permission_error(
        self, subject: str, *, within: float = 10.0
    ) -> PermissionDenied | None:
        """The server's refusal of this subject in the last `within` seconds, if there was one.

        A refused request is not answered: look here when one has timed out.
        """
        when = self._denied.get(subject.lower())  # in which case the client reports it
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
            "max_reconnect_attempts": 1,  # for the first connection: 0 or less would be for ever
            "reconnect_time_wait": 0.05,
            "ping_interval": 10,  # a dead peer is noticed in 30 s; by default in 6 min
            "pending_size": -1,  # or a publish that "failed" in an outage would be sent after it
            "inbox_prefix": settings.inbox_prefix,
            "tls_handshake_first": settings.tls_first,
            "reconnect_to_server_handler": _next_server,
            "error_cb": self._on_error,
            "disconnected_cb": self._on_disconnected,
            "reconnected_cb": self._on_reconnected,
            "closed_cb": self._on_closed,
        }
        if tls := settings.tls_context():
            options["tls"] = tls
        return options

    def _explained(self, error: Exception) -> BusError:
        """Why there is no connection: what the servers said counts more than how we gave up."""
        reasons = [*self._failures, error]
        for reason in reasons:
            if _REFUSAL.search(str(reason)):
                return LoginRefused(
                    f"{self._where} refuses the login ({self.settings.login}). "
                    f"{self.settings.login_remedy}"
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
            self._refused(match[1].lower())
            return
        if isinstance(error, ssl.SSLError):
            self._client.abandon_transport()
        if not self.nc.is_connected:
            self._failures = [*self._failures[-7:], error]
        _log.debug("connection.error error=%r", error)

    def _refused(self, subject: str) -> None:
        if subject not in self._denied and self._patient:  # a command says so itself
            _log.warning("connection.permission_denied subject=%r", subject)
        self._denied[subject] = _now()
        self._denied.move_to_end(subject)
        if len(self._denied) > _REMEMBERED:
            self._denied.popitem(last=False)
        if error := self.last_permission_error(subject):
            for tell in self.on_denied:
                tell(error)

    async def _on_disconnected(self) -> None:
        if not self._closing:
            _log.warning("connection.lost server=%s", self.settings.shown)
            await _call(self.on_disconnect)

    async def _on_reconnected(self) -> None:
        self._failures.clear()
        _log.warning("connection.restored server=%s", self.settings.shown)
        await _call(self.on_reconnect)

    async def _on_closed(self) -> None:
        if not self._closing:
            _log.error("connection.given_up server=%s", self.settings.shown)
            await _call(self.on_closed)


class _Client(Wire):
    """The client, but it never sends a login in the clear when TLS was asked for."""

    def __init__(self, *, demands_tls: bool) -> None:
        super().__init__()
        self._demands_tls = demands_tls

    def _connect_command(self) -> bytes:
        if self._demands_tls and not self._server_info.get("tls_required"):
            raise nats_errors.SecureConnWantedError
        return super()._connect_command()

    def abandon_transport(self) -> None:
        """Let a connection go whose TLS handshake failed: to wait for its end has no end."""
        if self._transport is not None:
            self._transport.close()  # type: ignore[no-untyped-call]
            self._transport = None

    @property
    def demands_login(self) -> bool:
        """Whether the server says that it wants a login."""
        return bool(self._server_info.get("auth_required", False))

    @property
    def is_encrypted(self) -> bool:
        """Whether what is sent is encrypted."""
        writer = getattr(self._transport, "_io_writer", None)
        return writer is not None and writer.get_extra_info("ssl_object") is not None

    @property
    def version(self) -> str:
        """What the server says its version is."""
        return str(self._server_info.get("version", ""))


def check_version(version: str, where: str = "The server") -> None:
    """See that a server is new enough.

    Raises:
        ServerTooOld: if it is older than 2.12, or does not say its version.
    """
    match = re.match(r"v?(\d+)\.(\d+)", version)
    if match is None or (int(match[1]), int(match[2])) < OLDEST_SERVER:
        raise ServerTooOld(
            f"{where} runs nats-server {version or '(unknown)'}; Layby needs 2.12 or newer, which "
            "brought the message schedules that its timers are made of. Upgrade it, or use the "
            f"server of `{installing('local')}`."
        )


def _next_server(pool: list[Server], _: dict[str, Any]) -> tuple[Server, float]:
    """Which server to try next, and after how many seconds: all in turn, ever more slowly.

    The jitter keeps a fleet of workers from arriving in one instant when a server is back.
    """
    server = min(pool, key=lambda candidate: candidate.reconnects)
    pause = min(_LONGEST_PAUSE, 0.05 * 2 ** min(server.reconnects, 10))
    return server, pause * random.uniform(0.5, 1.0)  # noqa: S311


def _login(settings: ConnectionSettings) -> dict[str, Any]:
    if settings.creds or settings.nkey:
        _demand_nkeys(settings)
    if settings.creds:
        # The client reads on for ever if the file lacks one of these lines.
        text = readable(settings.creds, "credentials file")
        if b"BEGIN NATS USER JWT" not in text or b"BEGIN USER NKEY SEED" not in text:
            raise InvalidSettings(
                f"{settings.creds} is not a credentials file: it should hold a NATS USER JWT and "
                "a USER NKEY SEED. Make one with `nsc generate creds`."
            )
        return {"user_credentials": settings.creds}
    if settings.nkey:
        _check_seed(settings.nkey)
        return {"nkeys_seed": settings.nkey}
    if settings.user:
        return {"user": settings.user, "password": settings.password or ""}
    return {"token": settings.token} if settings.token else {}


def _demand_nkeys(settings: ConnectionSettings) -> None:
    if importlib.util.find_spec("nkeys") is None:
        raise InvalidSettings(
            f"Logging in with {settings.login} needs the package `nkeys`: `pip install nkeys`."
        )


def _check_seed(path: str) -> None:
    from_seed: Callable[[bytearray], Any] = importlib.import_module("nkeys").from_seed  # optional
    seed = bytearray(readable(path, "nkey seed").strip())
    try:
        from_seed(seed).wipe()
    except Exception:  # noqa: BLE001  it raises many kinds; their text may quote the seed
        raise InvalidSettings(
            f"{path} does not hold an nkey seed. It should be one line that begins with SU."
        ) from None


def _plain(reasons: list[Exception]) -> str:
    """The most telling of the reasons, in words without a trace."""
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
