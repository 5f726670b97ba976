"""The console's server: a connection to NATS, the catalogue, and HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, replace

import uvicorn

from ..bus.errors import LaybyError
from ..bus.keyring import KeyService
from ..bus.opened import Bus, opened
from ..bus.settings import ConnectionSettings
from ..client import Client
from ..client.desk import AnswerDesk
from ..login import login
from ..views.workers import Workers
from .catalogue.catalogue import Catalogue
from .console import Console
from .hosts import is_loopback
from .live import Live
from .login.entrance import Entrance
from .login.nats_login import NatsLogin
from .login.proxy_login import ProxyLogin
from .login.responder_tokens import ResponderTokens
from .login.token_file import TokenFile
from .login.token_login import TOKEN, TokenLogin
from .metrics import ConsoleMetrics
from .options import PORT, ConsoleOptions
from .tally import keep
from .vitals import Vitals
from .web import web_app

_STOP_WITHIN = 2


class PortTaken(LaybyError):
    """Another program listens on the console's port."""


class ExposedConsole(LaybyError):
    """Others could reach the console, and the printed key is not safe on a network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A console that takes requests.

    Attributes:
        url: Its address.
        entry: The address that signs in, to be printed; it holds the token.
        console: What its handlers share.
    """

    url: str
    entry: str
    console: Console

    @property
    def watched(self) -> bool:
        """Whether a page is open in a browser."""
        return self.console.live.tabs > 0 or self.console.watched.looked_at

    async def failed(self) -> None:
        """Return when it has stopped by itself."""
        await self.console.stopping.wait()


@contextlib.asynccontextmanager
async def serving(
    settings: ConnectionSettings,
    options: ConsoleOptions,
    *,
    prefix: str = "",
    keyring: KeyService | None = None,
) -> AsyncGenerator[Serving]:
    """A console, which takes requests while the block is open.

    Raises:
        InvalidSettings: the file of tokens cannot be read.
        ExposedConsole: other machines reach the address, and no login is demanded.
        PortTaken: another program listens there.
        ServerUnavailable: no NATS server answers.
    """
    _check_exposure(options)
    with _listening(options) as sock:
        port = int(sock.getsockname()[1])
        options = replace(options, port=port)
        async with (
            opened(settings, prefix=prefix, patient=True, keyring=keyring) as bus,
            Catalogue.opened(bus.connection, bus.requests, options.catalogue) as catalogue,
            Workers.listening(bus.connection, bus.requests.names) as workers,
        ):
            client = Client(bus.connection, bus.requests, options.signers)
            entrance = _entrance(settings, options, bus, prefix=prefix, keyring=keyring)
            if isinstance(entrance, NatsLogin):
                await entrance.check()
            tokens = _tokens(options, client)
            stopping = asyncio.Event()
            console = Console(
                options=options,
                connection=bus.connection,
                requests=bus.requests,
                client=client,
                desk=AnswerDesk(bus.connection, bus.requests, options.signers),
                login=entrance,
                tokens=tokens,
                catalogue=catalogue,
                live=Live(stopping),
                workers=workers,
                vitals=Vitals(bus.requests, client, workers),
                metrics=ConsoleMetrics(bus.requests, catalogue, workers),
                stopping=stopping,
            )
            async with _answering(console, sock):
                url = f"http://{_shown(options.host)}:{port}{options.base_path}"
                yield Serving(url=url, entry=_entry(url, entrance), console=console)


@contextlib.asynccontextmanager
async def _answering(console: Console, sock: socket.socket) -> AsyncGenerator[None]:
    config = uvicorn.Config(
        web_app(console),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,  # or a peer's address is what the peer says it is
        timeout_graceful_shutdown=_STOP_WITHIN,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve([sock]))
    counting = asyncio.create_task(keep(console.tally, console.catalogue, console.connection))
    serving.add_done_callback(lambda _: console.stopping.set())
    try:
        yield
    finally:
        console.stopping.set()
        server.should_exit = True
        await serving
        counting.cancel()
        await console.login.close()
        if console.tokens is not None:
            console.tokens.end_all()


class _Server(uvicorn.Server):
    """Leaves the signals to the command that runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture none."""
        yield


def _entrance(
    settings: ConnectionSettings,
    options: ConsoleOptions,
    bus: Bus,
    *,
    prefix: str,
    keyring: KeyService | None,
) -> Entrance:
    if options.auth == "nats":
        return NatsLogin(settings, options, bus.connection, prefix=prefix, keyring=keyring)
    client = Client(bus.connection, bus.requests, options.signers)
    if options.proxy is not None:
        return ProxyLogin(client, options, options.proxy, bus)
    return TokenLogin(client, login() or "console", options)


def _tokens(options: ConsoleOptions, client: Client) -> ResponderTokens | None:
    """The tokens of responders. Raises InvalidSettings."""
    if options.tokens is None:
        return None
    return ResponderTokens(TokenFile(options.tokens), client, read_only=options.read_only)


def _entry(url: str, entrance: Entrance) -> str:
    if isinstance(entrance, TokenLogin):
        return f"{url}/?{TOKEN}={entrance.token}"
    return f"{url}/"


def _check_exposure(options: ConsoleOptions) -> None:
    if (options.auth == "proxy") is not (options.proxy is not None):
        raise ExposedConsole("a login by proxy needs the header's name and the proxy's addresses")
    if options.auth == "token" and not is_loopback(options.host):
        raise ExposedConsole(
            f"other machines reach {options.host}, and the key in the printed address would cross "
            "the network in the clear: leave --host out, and reach it from elsewhere with "
            f"`ssh -L {options.port or PORT}:127.0.0.1:{options.port or PORT} HOST`, "
            "or demand logins with --auth nats or --auth proxy"
        )


@contextlib.contextmanager
def _listening(options: ConsoleOptions) -> Generator[socket.socket]:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    with sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((options.host, options.port))
        except OSError as error:
            raise PortTaken(
                f"cannot listen on {options.host}:{options.port} ({error.strerror}): name another "
                "port with --port, or 0 for a free one"
            ) from None
        sock.listen(1024)
        sock.setblocking(False)  # noqa: FBT003
        yield sock


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
