"""Which language model the agents use."""

from __future__ import annotations

import os

from layby.models import Model, anthropic

from .offline import OfflineModel

CLAUDE = "claude-haiku-4-5"


def default_model() -> Model:
    """Claude if ANTHROPIC_API_KEY is set, else the example's scripted model."""
    return anthropic(CLAUDE) if _has_key() else OfflineModel()


def model_notice() -> str:
    """Say in one line which model answers."""
    if _has_key():
        return f"ANTHROPIC_API_KEY is set: the agents use {CLAUDE}."
    return (
        "No ANTHROPIC_API_KEY: the agents use a scripted offline model that knows only this "
        "example's tickets."
    )


def _has_key() -> bool:
    return bool(os.environ.get("ANTHROPIC_API_KEY"))
