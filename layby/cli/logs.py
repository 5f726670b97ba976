"""Log lines of workers: on stderr, for people or for machines."""

from __future__ import annotations

import logging
import os
import sys

from ..runtime import telemetry

_PLAIN = "%(levelname)s %(name)s: %(message)s"


def configure(*, json: bool, verbose: bool) -> None:
    """Send the log lines of this process to stderr.

    LAYBY_LOG names the least level that is shown (`debug`, `info`, `warning`, `error`).

    Args:
        json: One JSON object a line instead of text.
        verbose: Show everything, with stack traces.
    """
    name = os.environ.get("LAYBY_LOG", "info").upper()
    level = logging.getLevelNamesMapping().get(name, logging.INFO)
    logging.basicConfig(level=max(level, logging.WARNING), stream=sys.stderr, format=_PLAIN)
    telemetry.configure(verbose=verbose, json=json, level=level)
