"""Log lines of workers: on stderr, for people or for machines."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .errors import CliError

_state = {"json": False}


def configure(*, json: bool, verbose: bool, dev: bool = False) -> None:
    """Send all that this process has to say to stderr, as lines of one form.

    LAYBY_LOG names the least level that is shown (`debug`, `info`, `warning`, `error`).

    Args:
        json: One JSON object a line instead of text.
        verbose: Show everything, with tracebacks.
        dev: Tell runs as `layby dev` does, with tracebacks of user code.
    """
    from ..runtime import telemetry

    name = os.environ.get("LAYBY_LOG", "info").upper()
    level = logging.getLevelNamesMapping().get(name, logging.INFO)
    _state["json"] = json
    line = trace = None
    if not json and (dev or verbose):
        from .dev_lines import DevLine
        from .tracebacks import drawn

        line, trace = (DevLine(sys.stderr) if dev else None), drawn
    telemetry.configure(verbose=verbose, json=json, level=level, line=line, trace=trace)
    telemetry.capture(max(level, logging.WARNING))


def tell_failure(failure: CliError, error: Exception) -> bool:
    """Log why the command failed, where all of stderr is JSON; False where it is not."""
    if _state["json"]:
        import structlog

        from .errors import without_secrets

        structlog.get_logger("layby.worker").error(
            "worker.failed",
            error=without_secrets(failure.message),
            advice=without_secrets(failure.advice),
            exc_info=error,
        )
    return _state["json"]
