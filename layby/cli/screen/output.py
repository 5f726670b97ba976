"""Where things are printed: results on stdout, everything else on stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO

from ...runtime.untrusted_text import safe, safe_json
from .errors import INTERRUPTED, CliError, without_secrets

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 160
"""Columns when the output is not a terminal: wide enough that no table row is wrapped."""


def stdout() -> Console:
    """The console for results."""
    return _console(sys.stdout)


def stderr() -> Console:
    """The console for everything that is not a result."""
    return _console(sys.stderr)


def print_json(value: Any) -> None:
    """Print `value` as the one JSON document of this call."""
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(value), indent=2)
    sys.stdout.buffer.write(safe_json(text) + b"\n")
    sys.stdout.buffer.flush()


def print_more(limit: int) -> None:
    """Say that a list was cut after `limit` rows."""
    stderr().print(f"there are more than these {limit}: raise --limit to see them", style="dim")


def print_error(error: CliError) -> None:
    """Print an error for people: one line for what and why, one for what to do."""
    from rich.text import Text

    console = stderr()
    if error.kind == INTERRUPTED:
        console.print(Text(error.message, style="dim"))
        return
    line = Text.assemble(("error: ", "bold red"), without_secrets(error.message))
    console.print(line, soft_wrap=True)
    if error.advice:
        console.print(Text(without_secrets(error.advice), style="dim"), soft_wrap=True)


def print_traceback(error: BaseException) -> None:
    """Print where an error came from, for `--verbose`."""
    import traceback

    sys.stderr.write(safe(without_secrets("".join(traceback.format_exception(error)))))


def unicode(console: Console) -> bool:
    """Whether the console can show more than ASCII."""
    return console.encoding.lower().replace("-", "").startswith("utf")


def _console(file: TextIO) -> Console:
    from .safe_console import SafeConsole

    width = None if file.isatty() else PIPE_WIDTH
    return SafeConsole(file=file, highlight=False, emoji=False, markup=False, width=width)
