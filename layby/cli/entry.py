"""The `layby` command: its commands, and how it ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from .commands import (
    accounts,
    answer,
    ask_back,
    audit,
    backup,
    claim,
    console,
    dead,
    decision,
    decline,
    demo,
    deploy,
    dev,
    doctor,
    erase,
    exporter,
    keyring,
    keys,
    migrate,
    notify,
    pass_on,
    provision,
    purge,
    questions,
    retry,
    rota,
    runs,
    send,
    show,
    sign,
    standby,
    token,
    version,
    worker,
)
from .invocation import group
from .screen.errors import OK, CliError, explain
from .screen.output import print_error, print_json, print_traceback
from .screen.plain_help import plain
from .screen.usage_errors import usage_error

_HELP = """Durable networks of AI agents on NATS that pull over and wait for a human.

Try it: [bold]layby demo[/bold]
"""

app = typer.Typer(
    name="layby",
    help=_HELP,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


app.callback(invoke_without_command=True)(group)

for module in (
    demo,
    dev,
    console,
    worker,
    exporter,
    notify,
    send,
    questions,
    answer,
    claim,
    pass_on,
    decline,
    ask_back,
    sign,
    runs,
    show,
    decision,
    retry,
    doctor,
    dead,
    purge,
    erase,
    audit,
    migrate,
    provision,
    backup,
    standby,
    deploy,
    accounts,
    rota,
    keyring,
    keys,
    token,
    version,
):
    module.register(app)
plain(app)


def main() -> None:
    """Run the command line of this process and exit."""
    raise SystemExit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; errors are printed, the exit code is returned."""
    try:
        code = app(list(arguments), prog_name="layby", standalone_mode=False)
    except Exception as error:  # noqa: BLE001  nothing above can show it to a person
        return _failed(error, arguments)
    return code if isinstance(code, int) else OK


def _failed(error: Exception, arguments: Sequence[str]) -> int:
    """Print an error on stderr, as JSON on stdout too when asked; return its exit code."""
    failure = usage_error(error) or explain(error)
    flags = _flags(arguments)
    if "--json" in flags:
        print_json(failure.document())
    if not failure.is_logged:
        print_error(failure)
    if "--verbose" in flags and not isinstance(error, (CliError, typer.TyperException)):
        print_traceback(error)
    return failure.code


def _flags(arguments: Sequence[str]) -> Sequence[str]:
    """The arguments that can be options: those before a `--`."""
    return arguments[: arguments.index("--")] if "--" in arguments else arguments
