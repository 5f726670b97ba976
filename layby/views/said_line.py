"""The line of a timeline about an act on an open question other than an answer."""

from __future__ import annotations

from typing import Any

from ..runtime.act_records import ClaimedQuestion, Passed
from ..runtime.ask_back_records import AskedBack, Replied
from ..runtime.ladder_records import told
from ..runtime.opened_records import Heard, OpenedQuestion
from ..runtime.times import iso
from .ask_back_line import asked_back_line, replied_line


def said_line(record: Heard) -> dict[str, Any]:
    """Its fields, as those of a `TimelineLine`."""
    if isinstance(record, AskedBack):
        return asked_back_line(record)
    if isinstance(record, Replied):
        return replied_line(record)
    data: dict[str, Any] = {"id": record.id, "by": record.by, "vouched": record.vouched}
    kind, title, detail = "question.declined", f"{record.by} declined", ""
    if isinstance(record, ClaimedQuestion):
        until = iso(record.until) if record.until > record.at else ""
        kind, data["until"] = "question.claimed", until
        title = f"{record.by} is on it" if until else f"{record.by} released it"
        detail = f"until {until}" if until else ""
    elif isinstance(record, OpenedQuestion):
        kind, title, data["channel"] = "question.opened", f"{record.by} opened it", record.channel
        detail = f"in {record.channel}" if record.channel else ""
    elif isinstance(record, Passed):
        kind, title = "question.passed", f"{record.by} passed it to {record.to}"
        detail = told(record)
        data |= {"to": record.to, "told": record.told, "absent": record.absent}
        data["nobody"] = record.nobody
    return {"kind": kind, "actor": record.by, "title": title, "detail": detail, "data": data}
