"""How a worker logs: one line an event, facts bound to it, no stack trace unless asked for."""

from __future__ import annotations

import logging
import sys
import time
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, WrappedLogger

from .times import iso


def configure(
    *,
    verbose: bool = False,
    json: bool = False,
    level: int = logging.INFO,
    stream: TextIO | None = None,
) -> None:
    """Set up logging for a process of ours; a program that embeds a worker does its own.

    Traces show with `verbose` alone, and never with the values of variables: those hold secrets.
    """
    out = stream or sys.stderr
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _stamp,
            *([] if verbose else [_without_trace]),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer() if json else _Line(colours=out.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else level),
        logger_factory=structlog.PrintLoggerFactory(stream or cast("TextIO", _Stderr())),
        cache_logger_on_first_use=True,
    )


class _Stderr:
    """Standard error as it is when something is written: test runners replace and close it."""

    def write(self, text: str) -> None:
        sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


class _Line:
    """An event as one line: time, level, event, facts. Cheap, for workers log every question."""

    def __init__(self, *, colours: bool) -> None:
        self._styles = _STYLES if colours else {}

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> str:
        at = event.pop("timestamp", "")
        level = str(event.pop("level", "info"))
        name = event.pop("event", "")
        trace = event.pop("exception", "")
        facts = " ".join(f"{key}={_shown(value)}" for key, value in event.items())
        begin, end = self._styles.get(level, ("", ""))
        line = f"{at} {begin}{level:<7}{end} {name:<20} {facts}"
        return f"{line}\n{trace}" if trace else line


_STYLES = {
    "debug": ("\x1b[2m", "\x1b[0m"),
    "info": ("\x1b[32m", "\x1b[0m"),
    "warning": ("\x1b[33m", "\x1b[0m"),
    "error": ("\x1b[31m", "\x1b[0m"),
}


def _stamp(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event["timestamp"] = iso(time.time())
    return event


def _shown(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and " " not in text else repr(text)


def _without_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event.pop("exc_info", None)
    return event
