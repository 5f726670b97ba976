"""Cards to show in Slack."""

from __future__ import annotations

from typing import Any

from layby.channels import Card

ASKED = 1_764_430_000.0


def card(**fields: Any) -> Card:
    """A question to the developers, with what a test cares about."""
    given: dict[str, Any] = {
        "key": "q1.developer.slack.first",
        "question": "q1",
        "ticket": "T125",
        "run": "run1",
        "workflow": "support",
        "role": "developer",
        "text": "Is this a known problem?",
        "asked_at": ASKED,
        "deadline": ASKED + 3_600,
        "silence": "the run continues without an answer",
    }
    return Card(**{**given, **fields})


def approval(**fields: Any) -> Card:
    """A call to approve."""
    given: dict[str, Any] = {
        "role": "finance",
        "agent": "Clerk",
        "text": "May Clerk call refund(order='A1', cents=900)?",
        "tool": "refund",
        "arguments": '{"order": "A1", "cents": 900}',
        "context": "refund: Give a customer money back.",
        "digest": "a4c40b38ddc2",
        "form": {"anyOf": [{"type": "string"}], "description": "answer one of: approve | reject"},
    }
    return card(**{**given, **fields})
