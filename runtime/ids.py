"""Deterministic ids, so that repeating an action cannot create a duplicate."""

from __future__ import annotations

import hashlib
import re

_RUN = re.compile(r"[0-9a-f]{20}")


def _digest(*parts: str) -> str:
    text = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=10).hexdigest()


def run_id(workflow: str, event_id: str) -> str:
    """The run that `event_id` starts: one for each workflow and event."""
    return _digest("run", workflow, event_id)


def child_id(workflow: str, run: str, frame: str, key: str) -> str:
    """The run that a body starts at `key`; no event can start it, whatever its id."""
    return _digest("child", workflow, run, frame, key)


def is_run_id(text: str) -> bool:
    """Whether a text has the form of a run's id."""
    return bool(_RUN.fullmatch(text))


def question_id(run: str, frame: str, key: str) -> str:
    """The question that a body asks at `key`."""
    return "q" + _digest("question", run, frame, key)[:13]


def timer_name(run: str, frame: str, key: str) -> str:
    """The wake-up of a sleep or back-off."""
    return "w" + _digest("timer", run, frame, key)
