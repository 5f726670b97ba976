"""Tracebacks for the app's developer: their own frames, no variables, no frames of the engine."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...bus.errors import LaybyError
from ...runtime.place import members_of, user_frames
from ...runtime.redaction import redacted

if TYPE_CHECKING:
    from rich.traceback import Stack, Trace

_WIDTH = 100


def rendered_traceback(error: BaseException) -> str:
    """The traceback of `error` as text for standard error, coloured on a terminal.

    Empty for an error of ours that no user code raised: its message says what to do.
    """
    from rich.traceback import Traceback

    from .safe_console import SafeConsole

    trace = Traceback.extract(type(error), error, error.__traceback__, show_locals=False)
    mine = {
        (frame.f_code.co_filename, line)
        for each in _chain(error)
        for frame, line in user_frames(each)
    }
    if not mine and isinstance(error, LaybyError):
        return ""
    _reduce(trace, mine)
    file = io.StringIO()
    colours = sys.stderr.isatty()
    width = None if colours else _WIDTH
    console = SafeConsole(file=file, force_terminal=colours, width=width, legacy_windows=False)
    console.print(Traceback(trace, show_locals=False, extra_lines=1, word_wrap=True))
    return redacted(file.getvalue().rstrip())


def _reduce(trace: Trace, mine: set[tuple[str, int]]) -> None:
    """Leave user code in each stack; a stack that has none stays as it is."""
    for stack in _stacks(trace):
        kept = [frame for frame in stack.frames if (frame.filename, frame.lineno) in mine]
        if kept:
            stack.frames = kept


def _stacks(trace: Trace) -> Iterator[Stack]:
    for stack in trace.stacks:
        yield stack
        for each in stack.exceptions:
            yield from _stacks(each)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    left = [error]
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        left += [each.__cause__, each.__context__, *members_of(each)]
