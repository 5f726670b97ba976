"""The events about what people ask back instead of answering."""

from __future__ import annotations

from .runtime.streaming import Event


class QuestionAskedBack(Event, frozen=True, kw_only=True, tag="question.asked_back"):
    """Somebody asked the asker of an open question something before they answer."""

    question_id: str
    by: str
    text: str
    seq: int
    """Its number, which the reply names."""


class QuestionReplied(Event, frozen=True, kw_only=True, tag="question.replied"):
    """What somebody asked back has a reply, or never gets one."""

    question_id: str
    by: str
    """The agent or person who replied; empty: the app's code."""
    text: str
    """The reply; if it failed, the reason."""
    seq: int
    """The number of what was asked back."""
    failed: bool = False
