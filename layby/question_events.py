"""Events about a question other than its answers; `events` has all of them."""

from __future__ import annotations

from .runtime.streaming import Event


class QuestionOpened(Event, frozen=True, kw_only=True, tag="question.opened"):
    """Somebody looked at an open question for the first time."""

    question_id: str
    by: str
    channel: str = ""
    """Where: `console`, `slack`; empty: not known."""
