"""Which language model the agents use."""

from __future__ import annotations

import os

from layby.models import Model, anthropic, fallback, openai

from .offline import offline


def default_model() -> Model:
    """Claude, GPT, or Claude with GPT as a fallback, by the keys that are set; else a script."""
    models: list[Model] = []
    if os.environ.get("ANTHROPIC_API_KEY"):
        models.append(anthropic("claude-haiku-4-5"))
    if os.environ.get("OPENAI_API_KEY"):
        models.append(openai("gpt-5-mini"))
    if len(models) > 1:
        return fallback(*models)
    return models[0] if models else offline
