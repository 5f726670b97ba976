"""Which release of Layby this is."""

from __future__ import annotations

import functools
from importlib.metadata import PackageNotFoundError, version


@functools.cache
def release() -> str:
    """The installed release, as `layby version` shows it; empty if nothing is installed."""
    try:
        return version("layby")
    except PackageNotFoundError:
        return ""
