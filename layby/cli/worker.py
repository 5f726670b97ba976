"""`layby worker`: take work for an app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .connected import named
from .errors import CliError
from .handshake import ALONE, DEV, READY_FD, announce, stop_when_orphaned
from .invocation import Invocation, command
from .load import load_app
from .output import stderr

if TYPE_CHECKING:
    from ..app import App
    from ..bus.settings import ConnectionSettings

AppPath = Annotated[
    str, typer.Argument(metavar="APP", help="The app, as module:attribute.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(worker)


@command
def worker(
    call: Invocation,
    app: AppPath,
    name: Annotated[
        str | None, typer.Option(help="A name for the logs.", show_default=False)
    ] = None,
    require_keys: Annotated[
        bool,
        typer.Option(
            "--require-keys", metavar="", help="Do not start without the keys of all models."
        ),
    ] = False,
    alone: Annotated[bool, typer.Option(ALONE, hidden=True)] = False,
    ready_fd: Annotated[int | None, typer.Option(READY_FD, hidden=True)] = None,
    dev: Annotated[bool, typer.Option(DEV, hidden=True)] = False,
) -> None:
    """Take work for an app, against your NATS server.

    Start as many as you like, on as many machines. SIGTERM or Ctrl-C lets it finish
    what it does; whatever it leaves, another worker takes up.

    Example: NATS_URL=nats://127.0.0.1:4222 layby worker examples.support_agent:app
    """
    if alone:
        stop_when_orphaned()
    from .logs import logging_to_stderr

    with logging_to_stderr(json=call.json, verbose=call.verbose, dev=dev):
        settings = required_settings(call, app)
        loaded = load_app(app, call.prefix)
        from ..keys import check_keys

        check_keys(loaded, required=require_keys)
        _run(call, loaded, settings, name, ready_fd)


def _run(
    call: Invocation,
    app: App,
    settings: ConnectionSettings,
    name: str | None,
    ready_fd: int | None,
) -> None:
    import asyncio

    asyncio.run(_work(call, app, settings, name, ready_fd))


def required_settings(call: Invocation, app: str) -> ConnectionSettings:
    """The connection settings; an error when nobody has said where NATS is, and none is here."""
    settings = named(call)
    if not settings.is_configured:
        raise CliError(
            "no NATS server is named",
            f"set NATS_URL or pick a context of the nats CLI; or try `layby dev {app}`, which "
            "brings its own server",
            kind="NoServerNamed",
        )
    return settings


async def _work(
    call: Invocation,
    app: App,
    settings: ConnectionSettings,
    name: str | None,
    ready_fd: int | None,
) -> None:
    import asyncio

    from ..run import run_worker

    ready = asyncio.Event()

    async def tell() -> None:
        await ready.wait()
        if not call.json:  # the log has said it
            stderr().print(f"ready on {settings.shown}", style="dim")
        if ready_fd is not None:
            announce(ready_fd, app.prefix)

    telling = asyncio.ensure_future(tell())
    try:
        await run_worker(app, settings, name=name, ready=ready)
    finally:
        telling.cancel()
