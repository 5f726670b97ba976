"""A peer's environment: a venv, packages from the registries, processes that end with it."""

from __future__ import annotations


class Unavailable(RuntimeError):
    """A peer cannot be had here; the message says why."""
