"""The packages that the console needs."""

from __future__ import annotations

import importlib.util

PACKAGES = ("starlette", "uvicorn", "jinja2", "markupsafe")


def missing_package() -> str | None:
    """The package that the console needs and that is not installed; None: all are."""
    return next((name for name in PACKAGES if importlib.util.find_spec(name) is None), None)
