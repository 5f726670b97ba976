"""The log lines of `layby dev`: one short line for each event of a run that matters."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from ...runtime.telemetry import PlainLine
from .untrusted_text import one_line, safe

if TYPE_CHECKING:
    from rich.text import Text
    from structlog.typing import EventDict, WrappedLogger

_LONGEST = 100
"""Characters of a question or an answer."""


class RunLogLine:
    """Formats the event of a run; other events are shown as workers show them."""

    def __init__(self, out: TextIO) -> None:
        from .output import unicode
        from .safe_console import SafeConsole

        self._plain = PlainLine(colours=out.isatty())
        self._file = io.StringIO()
        self._console = SafeConsole(
            file=self._file, force_terminal=out.isatty(), width=10_000, legacy_windows=False
        )
        self._unicode = unicode(SafeConsole(file=out))

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> str:
        """The line of an event."""
        format_ = _FORMATS.get(str(event.get("event")))
        if format_ is None:
            return self._plain(logger, method, event)
        sign, ascii_, style, words = format_
        line = self._text(event, sign if self._unicode else ascii_, style, words(event))
        self._console.print(line, soft_wrap=True)
        shown = self._file.getvalue().rstrip("\n")
        self._file.seek(0)
        self._file.truncate()
        trace = event.get("exception", "")
        return f"{shown}\n{trace}" if trace else shown

    def _text(self, event: EventDict, sign: str, style: str, words: str) -> Text:
        from rich.text import Text

        from . import times

        at = f"{times.parse(str(event['timestamp'])).astimezone():%H:%M:%S}"
        return Text.assemble(
            (f"{at}  ", "dim"),
            (f"{sign} ", style),
            (one_line(event.get("ticket", "")), "bold"),
            "  ",
            (words, style),
            (f"  run {safe(str(event.get('run', '')))}", "dim"),
        )


def _started(event: EventDict) -> str:
    return f"{one_line(event['workflow'])} started"


def _asked(event: EventDict) -> str:
    return f"asks {one_line(event['role'])}: {_text_of(event)}"


def _answered(event: EventDict) -> str:
    return f"{one_line(event['by']) or 'somebody'} answered: {_text_of(event)}"


def _reached(event: EventDict) -> str:
    what = f"asks {event['to']} too" if event["to"] else "reminds"
    return one_line(f"{what}  {event['told']}")


def _claimed(event: EventDict) -> str:
    return one_line(f"{event['by']} is on it until {event['until']}")


def _passed(event: EventDict) -> str:
    return one_line(f"{event['by']} passed it to {event['to']}  {event['told']}")


def _declined(event: EventDict) -> str:
    return one_line(f"{event['by']} declined")


def _expired(_: EventDict) -> str:
    return "nobody answered in time"


def _step_failed(event: EventDict) -> str:
    again = event.get("again_at")
    place = f" in {event['place']}" if event.get("place") else ""
    summary = f"step {event['step']} failed: {event['error']}{place}"
    return one_line(f"{summary}; again at {again}" if again else summary)


def _completed(event: EventDict) -> str:
    from . import times

    return f"completed after {times.span(event['seconds'])}"


def _failed(event: EventDict) -> str:
    return one_line(f"{event['status']}: {event['error']}")


def _cancelled(event: EventDict) -> str:
    return one_line(f"cancelled  {event['reason']}")


def _blocked(event: EventDict) -> str:
    return one_line(f"blocked: {event['error']}; {event['needs']}")


def _reopened(event: EventDict) -> str:
    return one_line(f"resumed by {event['by'] or 'somebody'}  {event['why']}")


def _opened(event: EventDict) -> str:
    return one_line(f"{event['by']} opened the question")


def _text_of(event: EventDict) -> str:
    return one_line(event.get("text", ""), _LONGEST)


_FORMATS: dict[str, tuple[str, str, str, Callable[[Any], str]]] = {
    "run.started": ("\u25cf", "*", "cyan", _started),
    "question.asked": ("?", "?", "bold yellow", _asked),
    "question.answered": ("\u2713", "+", "green", _answered),
    "question.reminded": ("?", "?", "yellow", _reached),
    "question.escalated": ("?", "?", "bold yellow", _reached),
    "question.claimed": ("?", "?", "yellow", _claimed),
    "question.passed": ("?", "?", "bold yellow", _passed),
    "question.declined": ("?", "?", "yellow", _declined),
    "question.opened": ("\u00b7", "-", "dim", _opened),
    "question.expired": ("!", "!", "red", _expired),
    "step.failed": ("\u2717", "x", "red", _step_failed),
    "run.completed": ("\u25a0", "#", "green", _completed),
    "run.failed": ("\u25a0", "#", "red", _failed),
    "run.cancelled": ("\u25a0", "#", "dim", _cancelled),
    "run.blocked": ("!", "!", "bold red", _blocked),
    "run.reopened": ("\u25cf", "*", "cyan", _reopened),
}
