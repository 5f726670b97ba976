"""Which release of Layby this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def release() -> str:
    """The installed release, as `layby version` shows it; empty if nothing is installed."""
    try:
        return version("layby")
    except PackageNotFoundError:
        return ""
