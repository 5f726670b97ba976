"""The log of a worker on stderr, for people or for machines."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, nullcontext


@contextmanager
def logging_to_stderr(*, json: bool, verbose: bool, dev: bool = False) -> Generator[None]:
    """Send all log lines of this process to stderr, in one format.

    With `json`, the error that ends the command is such a line too.

    LAYBY_LOG is the lowest level to show (`debug`, `info`, `warning`, `error`).

    Args:
        json: One JSON object per line instead of text.
        verbose: Show everything, with tracebacks.
        dev: Show runs as `layby dev` does, with tracebacks of user code.
    """
    from ...runtime import telemetry

    name = os.environ.get("LAYBY_LOG", "info").upper()
    level = logging.getLevelNamesMapping().get(name, logging.INFO)
    line = trace = None
    if not json and (dev or verbose):
        from .run_log_lines import RunLogLine
        from .tracebacks import rendered_traceback

        line, trace = (RunLogLine(sys.stderr) if dev else None), rendered_traceback
    telemetry.configure(verbose=verbose, json=json, level=level, line=line, trace=trace)
    as_lines = _failures_as_lines() if json else nullcontext()
    with telemetry.capturing(max(level, logging.WARNING)), as_lines:
        yield


@contextmanager
def _failures_as_lines() -> Generator[None]:
    """Log why the command fails, or that it was stopped, instead of printing it."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  logged, and raised again
        import structlog

        from .errors import INTERRUPTED, explain, without_secrets

        failure = explain(error)
        if failure.kind == INTERRUPTED:
            structlog.get_logger("layby.worker").info("process.stopped")
        else:
            structlog.get_logger("layby.worker").error(
                "worker.failed",
                error=without_secrets(failure.message),
                advice=without_secrets(failure.advice),
                exc_info=error,
            )
        failure.is_logged = True
        raise failure from (None if failure is error else error)
