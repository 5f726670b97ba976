"""Seeded faults of the engine, put into a worker before it starts."""

from __future__ import annotations


def apply(name: str) -> None:
    raise NotImplementedError(name)
