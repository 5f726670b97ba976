"""Log lines of workers: on stderr, for people or for machines, never with local variables."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import structlog

_DEFAULT = "info"


def configure(*, json: bool, verbose: bool) -> None:
    """Send the log lines of this process to stderr.

    LAYBY_LOG names the least level that is shown (`debug`, `info`, `warning`, `error`).

    Args:
        json: One JSON object a line instead of text.
        verbose: Show everything.
    """
    level = _level(verbose=verbose)
    logging.basicConfig(level=max(level, logging.WARNING), stream=sys.stderr, format=_PLAIN)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso" if json else "%H:%M:%S", utc=json),
            *(_for_machines() if json else _for_people()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


_PLAIN = "%(levelname)s %(name)s: %(message)s"


def _level(*, verbose: bool) -> int:
    if verbose:
        return logging.DEBUG
    name = os.environ.get("LAYBY_LOG", _DEFAULT).upper()
    return logging.getLevelNamesMapping().get(name, logging.INFO)


def _for_machines() -> list[Any]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def _for_people() -> list[Any]:
    # structlog's own choice would print the local variables of every frame, keys and all.
    plain = structlog.dev.plain_traceback
    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=plain, pad_event_to=24
    )
    return [renderer]
