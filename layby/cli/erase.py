"""`layby erase`: what nobody may read any more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .commanding import As, Reason, commanding
from .errors import CliError, UsageError
from .invocation import Invocation, command
from .load import load_app
from .output import print_json, stdout
from .worker import AppPath, required_settings

if TYPE_CHECKING:
    from ..app import App
    from ..client import Client


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(erase)


@command
def erase(
    call: Invocation,
    app: AppPath,
    thread: Annotated[
        str | None, typer.Argument(help="A conversation's name.", show_default=False)
    ] = None,
    person: Annotated[
        str | None,
        typer.Option(
            help="Destroy the key of this person, as events name them.", show_default=False
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="Destroy the key of this run.", show_default=False)
    ] = None,
    reason: Reason = "",
    as_: As = None,
) -> None:
    """Forget a conversation, or destroy a key, for good: what it has encrypted is lost with it.

    With `--person`: all runs, threads and big values of whom the workflow's `subject` names.
    A worker of the app does it. With none up, exit code 2: the command is stored, and done when one
    starts. The logs of a thread's runs are another matter: see `layby purge`.

    Example: layby erase desk:app T125

    Example: layby erase desk:app --person customer-7
    """
    if [thread, person, run].count(None) != 2:  # noqa: PLR2004
        raise UsageError("name one: a thread, --person or --run", "layby erase APP THREAD")
    required_settings(call, app)
    loaded = load_app(app, call.prefix)
    call = replace(call, prefix=loaded.prefix)
    told, work = _work(loaded, thread, person, run, {"by": as_, "reason": reason})
    ring = loaded.encryption if thread is None else None
    found = commanding(call, work, ring)
    if call.json:
        print_json({**told[0], told[1]: found})
    else:
        from .foreign import one_line

        stdout().print(one_line(told[2](found)), markup=False)


_Told = tuple[dict[str, Any], str, Callable[[Any], str]]
"""What the document says was erased, its field for the result, and what is said to people."""


def _work(
    app: App, thread: str | None, person: str | None, run: str | None, more: dict[str, Any]
) -> tuple[_Told, Callable[[Client], Awaitable[Any]]]:
    if thread is not None:
        if app.history is None:
            raise CliError(
                f"app {app.name!r} keeps no threads", "it has no history=", kind="InvalidSetup"
            )
        name = thread

        def entries(count: int) -> str:
            return f"erased {count} {'entry' if count == 1 else 'entries'} of {name}"

        return ({"thread": name}, "entries", entries), lambda c: c.erase(app.name, name, **more)
    if app.encryption is None:
        raise CliError(
            f"app {app.name!r} is not encrypted", "it has no encryption=", kind="InvalidSetup"
        )
    if person is not None:
        who = person

        def ended(count: int) -> str:
            return f"the key of {who} is destroyed; {count} open run{'s' * (count != 1)} ended"

        return ({"person": who}, "ended", ended), lambda c: c.erase_person(app.name, who, **more)
    which = run or ""

    def destroyed(was_there: bool) -> str:
        return f"the key of run {which} {'is' if was_there else 'was'} destroyed"

    return ({"run": which}, "erased", destroyed), lambda c: c.erase_run(app.name, which, **more)
