"""`layby erase`: make data unreadable for good."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from ..invocation import Invocation, command
from ..options.common import AppPath, As, Reason
from ..screen.errors import CliError, UsageError
from ..screen.output import print_json, stdout
from ..target.app_loading import keyring_of, load_app
from ..target.connection import required_settings
from ..target.worker_commands import with_workers

if TYPE_CHECKING:
    from ...app import App
    from ...client import Client


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(erase)


@command
def erase(
    call: Invocation,
    app: AppPath,
    thread: Annotated[
        str | None,
        typer.Argument(
            metavar="THREAD", help="Name of the conversation to erase.", show_default=False
        ),
    ] = None,
    person: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Person whose key to destroy, as events name them.",
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Run whose key to destroy.", show_default=False),
    ] = None,
    reason: Reason = "",
    as_: As = None,
) -> None:
    """Erase a conversation, or destroy an encryption key, for good.

    Everything encrypted under the key is lost with it. With --person: all runs, threads and large
    values of the person that the workflow's `subject` names. The logs of a thread's runs are kept:
    see `layby purge`.

    A worker of the app carries this out. If none is running, the command is stored for the next one
    and the exit code is 2.

    Example: layby erase desk:app T125

    Example: layby erase desk:app --person customer-7
    """
    if [thread, person, run].count(None) != 2:  # noqa: PLR2004
        raise UsageError(
            "name exactly one: a thread, --person or --run", "for example: layby erase APP THREAD"
        )
    required_settings(call, app)
    loaded = load_app(app, call.prefix)
    call = replace(call, prefix=loaded.prefix)
    more = {"by": as_, "reason": reason}
    if thread is not None:
        erasure = _of_thread(loaded, thread, more)
    elif person is not None:
        erasure = _of_person(loaded, person, more)
    else:
        erasure = _of_run(loaded, run or "", more)
    ring = loaded.encryption if thread is None else None
    result = with_workers(call, erasure.work, ring)
    if call.json:
        print_json({**erasure.erased, erasure.field: result})
    else:
        from ..screen.untrusted_text import one_line

        stdout().print(one_line(erasure.text(result)), markup=False)


class _Erasure(NamedTuple):
    """What is erased, how, the JSON field of the result, and the result for people."""

    erased: dict[str, str]
    work: Callable[[Client], Awaitable[Any]]
    field: str
    text: Callable[[Any], str]


def _of_thread(app: App, name: str, more: dict[str, Any]) -> _Erasure:
    if app.history is None:
        raise CliError(
            f"app {app.name!r} keeps no threads",
            "declare App(history=...) if it is to",
            kind="InvalidSetup",
        )

    async def work(client: Client) -> int:
        return await client.erase(app.name, name, **more)

    def text(count: int) -> str:
        return f"erased {count} {'entry' if count == 1 else 'entries'} of {name}"

    return _Erasure({"thread": name}, work, "entries", text)


def _of_person(app: App, name: str, more: dict[str, Any]) -> _Erasure:
    keyring_of(app)

    async def work(client: Client) -> int:
        return await client.erase_person(app.name, name, **more)

    def text(count: int) -> str:
        return f"the key of {name} is destroyed; {count} open run{'s' * (count != 1)} ended"

    return _Erasure({"person": name}, work, "ended", text)


def _of_run(app: App, run: str, more: dict[str, Any]) -> _Erasure:
    keyring_of(app)

    async def work(client: Client) -> bool:
        return await client.erase_run(app.name, run, **more)

    def text(existed: bool) -> str:
        return f"the key of run {run} {'is' if existed else 'was'} destroyed"

    return _Erasure({"run": run}, work, "erased", text)
