"""How a worker logs: one line per event, with its facts, and no stack trace unless requested."""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from . import tracing
from .line_logger import LineLogger
from .place import user_frames
from .redaction import redacted
from .times import iso
from .untrusted_text import safe

Line = Callable[[WrappedLogger, str, EventDict], str | bytes]
"""Formats an event as a line."""
Trace = Callable[[BaseException], str]
"""Formats a traceback."""


def configure(
    *,
    verbose: bool = False,
    json: bool = False,
    level: int = logging.INFO,
    stream: TextIO | None = None,
    line: Line | None = None,
    trace: Trace | None = None,
) -> None:
    """Set up logging for Layby's own processes; a program that embeds a worker sets up its own.

    Traces are shown with `verbose` or a `trace` function, and never with the values of variables,
    which may hold secrets. Texts of questions and answers are logged only with a `line` function.
    """
    _shows["texts"] = line is not None
    out = stream or sys.stderr
    formatter = trace or (traced if verbose else None)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _Completed(formatter),
            line or (_json() if json else PlainLine(colours=out.isatty())),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else level),
        logger_factory=_always(LineLogger(stream)),
        cache_logger_on_first_use=True,
    )


def _always(lines: LineLogger) -> Callable[..., LineLogger]:
    def logger(*_: object) -> LineLogger:
        return lines

    return logger


def texts(**facts: str) -> Mapping[str, str]:
    """Texts of people as facts of an event if they should be shown; else nothing."""
    return facts if _shows["texts"] else {}


_shows = {"texts": False}


@contextmanager
def capturing(level: int) -> Generator[None]:
    """Send everything that this process logs through here: loggers, warnings, threads that die.

    For Layby's own processes only.
    """
    hooks = threading.excepthook, sys.unraisablehook
    logging.basicConfig(level=level, handlers=[_Forward()])
    logging.captureWarnings(capture=True)
    threading.excepthook, sys.unraisablehook = _thread_died, _unraisable
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook = hooks
        logging.captureWarnings(capture=False)


def traced(error: BaseException) -> str:
    """The traceback of `error` without variables; only user code, if it contains any."""
    shown = traceback.TracebackException.from_exception(error)
    keep_user_frames(error, shown)
    return safe(redacted("".join(shown.format()).rstrip()))


def keep_user_frames(error: BaseException, shown: traceback.TracebackException) -> None:
    """Remove frames that are not user code from `shown`, unless none would be left."""
    mine = {(frame.f_code.co_filename, line) for frame, line in user_frames(error)}
    if mine:
        kept = [frame for frame in shown.stack if (frame.filename, frame.lineno) in mine]
        shown.stack = traceback.StackSummary.from_list(kept)
    for part, led in ((error.__cause__, shown.__cause__), (error.__context__, shown.__context__)):
        if part is not None and led is not None:
            keep_user_frames(part, led)


class PlainLine:
    """Formats an event as one line: time, level, event, facts. Cheap, because workers log a lot."""

    def __init__(self, *, colours: bool) -> None:
        self._styles = _STYLES if colours else {}

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> str:
        """The line of an event."""
        at, level = event.pop("timestamp", ""), str(event.pop("level", "info"))
        name, trace = event.pop("event", ""), event.pop("exception", "")
        facts = " ".join([f"{key}={_shown(value)}" for key, value in event.items()])
        begin, end = self._styles.get(level, ("", ""))
        line = f"{at} {begin}{level:<7}{end} {name:<20} {facts}"
        return f"{line}\n{trace}" if trace else line


_STYLES = {
    "debug": ("\x1b[2m", "\x1b[0m"),
    "info": ("\x1b[32m", "\x1b[0m"),
    "warning": ("\x1b[33m", "\x1b[0m"),
    "error": ("\x1b[31m", "\x1b[0m"),
}


class _Forward(logging.Handler):
    """Turns the records of `logging` into events."""

    def emit(self, record: logging.LogRecord) -> None:
        event, facts = _facts(record)
        error = record.exc_info[1] if record.exc_info else None
        logger = structlog.get_logger(record.name)
        logger.log(record.levelno, event, logger=record.name, **facts, exc_info=error)


_FACTS = re.compile(r"(\w+)=%[rs]")


def _facts(record: logging.LogRecord) -> tuple[str, Mapping[str, Any]]:
    """Layby's loggers name an event and its facts, `connection.lost server=%s`; others do not."""
    if record.name.startswith("layby."):
        names = _FACTS.findall(str(record.msg))
        values = record.args if isinstance(record.args, tuple) else ()
        texts = (each if isinstance(each, str) else repr(each) for each in values)
        return str(record.msg).partition(" ")[0], dict(zip(names, texts, strict=False))
    return "log", {"message": record.getMessage()}


def _thread_died(args: threading.ExceptHookArgs) -> None:
    name = args.thread.name if args.thread else ""
    structlog.get_logger("layby.worker").error(
        "thread.died", thread=name, error=repr(args.exc_value), exc_info=args.exc_value
    )


def _unraisable(args: Any) -> None:
    structlog.get_logger("layby.worker").error(
        "error.ignored", where=repr(args.object), error=repr(args.exc_value)
    )


def _json() -> Line:
    render = structlog.processors.JSONRenderer()

    def line(logger: WrappedLogger, name: str, event: EventDict) -> str | bytes:
        # It escapes everything that is not ASCII, except for this one control character.
        return str(render(logger, name, event)).replace("\x7f", "\\u007f")

    return line


def _shown(value: object) -> str:
    text = str(value)
    if not text or not text.isprintable() or " " in text:
        text = repr(text)
    return text if text.isascii() else safe(text)


class _Completed:
    """Adds the level, the time and, if it should be shown, the traceback; one pass, for speed."""

    def __init__(self, trace: Trace | None) -> None:
        self._trace = trace

    def __call__(self, _: WrappedLogger, method: str, event: EventDict) -> EventDict:
        event["level"] = "error" if method == "exception" else method
        event["timestamp"] = iso(time.time())
        event.update(tracing.ids())
        error = event.pop("exc_info", None)
        if error is not None and self._trace is not None:
            error = sys.exc_info()[1] if error is True else error
            if isinstance(error, BaseException):
                event["exception"] = self._trace(error)
        return event
