"""The `layby` command: its commands, and how it ends."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Sequence

import typer

from .invocation import FLAGS, VALUED, group
from .screen.errors import OK, CliError, explain
from .screen.output import print_error, print_json, print_traceback
from .screen.plain_help import plain
from .screen.usage_errors import usage_error

_HELP = """Durable networks of AI agents on NATS that pull over and wait for a human.

Try it: [bold]layby demo[/bold]
"""

_MODULES = (
    "demo",
    "dev",
    "console",
    "worker",
    "exporter",
    "notify",
    "send",
    "questions",
    "answer",
    "claim",
    "pass_on",
    "decline",
    "ask_back",
    "sign",
    "runs",
    "show",
    "decision",
    "retry",
    "doctor",
    "dead",
    "purge",
    "erase",
    "audit",
    "migrate",
    "provision",
    "backup",
    "standby",
    "deploy",
    "accounts",
    "rota",
    "keyring",
    "keys",
    "token",
    "version",
)
"""In `commands`, in the order in which help shows their commands."""
_ELSEWHERE = {
    "ask-back": "ask_back",
    "cancel": "runs",
    "pass": "pass_on",
    "restore": "backup",
    "verify": "decision",
}
"""The commands that are not called as their module is."""


def app_of(modules: Iterable[str] = _MODULES) -> typer.Typer:
    """The command line, with the commands of some modules."""
    app = typer.Typer(
        name="layby",
        help=_HELP,
        add_completion=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(group)
    for name in modules:
        importlib.import_module(f".commands.{name}", __package__).register(app)
    plain(app)
    return app


def modules_for(arguments: Sequence[str]) -> Sequence[str]:
    """The module of the command that is called; all, if that is not clear.

    Otherwise a short command would spend half of its time on the options of all the others.
    """
    rest = iter(arguments)
    for each in rest:
        if each in VALUED:
            next(rest, None)
        elif each not in FLAGS:
            name = _ELSEWHERE.get(each, each)
            return (name,) if name in _MODULES else _MODULES
    return _MODULES


def main() -> None:
    """Run the command line of this process and exit."""
    raise SystemExit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; errors are printed, the exit code is returned."""
    try:
        app = app_of(modules_for(arguments))
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
