"""The lines of a timeline that say what somebody asked back, and what the reply was."""

from __future__ import annotations

from typing import Any

from ..runtime.ask_back_records import AskedBack, Replied


def asked_back_line(record: AskedBack) -> dict[str, Any]:
    """Its fields, as those of a `TimelineLine`."""
    return {
        "kind": "question.asked_back",
        "actor": record.by,
        "title": f"{record.by} asked back",
        "detail": record.text,
        "data": {
            "id": record.id,
            "by": record.by,
            "vouched": record.vouched,
            "text": record.text,
            "seq": record.seq,
        },
    }


def replied_line(record: Replied) -> dict[str, Any]:
    """Its fields, as those of a `TimelineLine`."""
    who = record.by or "the app"
    return {
        "kind": "question.replied",
        "actor": who,
        "title": "there is no reply" if record.failed else f"{who} replied",
        "detail": record.text,
        "data": {
            "id": record.id,
            "by": record.by,
            "who": record.kind,
            "text": record.text,
            "failed": record.failed,
            "seq": record.seq,
        },
    }
