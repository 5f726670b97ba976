"""The fold of who has looked at an open question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .entry import Record
from .envelope import Envelope
from .opened_records import OpenedQuestion
from .openings import is_news
from .state import FORM_WITH_OPENED, RunState


def _opened(state: RunState, record: OpenedQuestion, n: int, envelope: Envelope) -> None:
    del n, envelope
    if is_known(state, record):
        return
    state.opened[record.id] = [*state.opened.get(record.id, ()), record]
    state.form = max(state.form, FORM_WITH_OPENED)


def is_known(state: RunState, record: OpenedQuestion) -> bool:
    """Whether the log has it already, or cannot have it."""
    return not is_news(state, record.id, record.by)


FOLDS: dict[type[Record], Callable[[RunState, Any, int, Envelope], None]] = {
    OpenedQuestion: _opened
}
CONFLICTS: dict[type[Record], Callable[[RunState, Any], bool]] = {OpenedQuestion: is_known}
