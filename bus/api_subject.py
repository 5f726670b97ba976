"""The subjects of the JetStream API."""

from __future__ import annotations

API = "$JS.API."
"""Prefix of the subjects of the JetStream API."""
TRAIL_API = "$TRAIL."
"""Prefix of the same subjects for the account of the audit trail."""


def mapped(subject: str) -> str:
    """An API subject as mapped for the audit trail, where that has an account of its own."""
    return subject.replace(API, TRAIL_API, 1) if subject.startswith(API) else subject
