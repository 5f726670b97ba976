"""The filter of the page of runs, as its address holds it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from ...runtime.times import iso
from ..catalogue.query import RunQuery

Time = Literal["started", "updated", "ended"]
PAGE: Final = 50


class Range(NamedTuple):
    """A choice of the page's select of times."""

    time: Time
    seconds: float
    words: str


RANGES: Final = {
    "": Range("started", 0, "Any time"),
    "started-1h": Range("started", 3600, "Started, last hour"),
    "started-24h": Range("started", 86400, "Started, last 24 h"),
    "started-7d": Range("started", 7 * 86400, "Started, last 7 days"),
    "updated-1h": Range("updated", 3600, "Changed, last hour"),
    "updated-24h": Range("updated", 86400, "Changed, last 24 h"),
    "ended-24h": Range("ended", 86400, "Ended, last 24 h"),
    "ended-7d": Range("ended", 7 * 86400, "Ended, last 7 days"),
}


class RunFilter:
    """What the address of the page asks for. Anything odd in it is passed over."""

    def __init__(self, parameters: QueryParams) -> None:
        self.status = frozenset(filter(None, parameters.getlist("status")))
        self.text = parameters.get("q", "").strip()
        self.workflow = parameters.get("workflow", "")
        self.ticket = parameters.get("ticket", "").strip()
        self.role = parameters.get("role", "")
        self.labels = tuple(
            (name, value)
            for name, _, value in (text.partition(":") for text in parameters.getlist("label"))
            if name and value
        )
        self.range = parameters.get("time", "")
        self.since = _time(parameters.get("from", ""))
        self.until = _time(parameters.get("to", ""))
        self.cursor = parameters.get("cursor") or None
        if self.range not in RANGES:
            self.range = ""

    @property
    def is_plain(self) -> bool:
        """Whether it lets everything through."""
        return not self.address(cursor=None)

    def query(self) -> RunQuery:
        """As the catalogue takes it."""
        chosen = RANGES[self.range]
        since = self.since
        if since is None and chosen.seconds:
            since = iso((datetime.now(UTC) - timedelta(seconds=chosen.seconds)).timestamp())
        return RunQuery(
            status=self.status,
            workflow=self.workflow or None,
            ticket=self.ticket or None,
            role=self.role or None,
            text=self.text or None,
            labels=self.labels,
            time=chosen.time,
            since=since,
            until=self.until,
            cursor=self.cursor,
            limit=PAGE,
        )

    def address(self, **changes: Any) -> str:
        """The query of an address: this filter with other values for some parameters."""
        values: dict[str, Any] = {
            "status": sorted(self.status),
            "q": self.text,
            "workflow": self.workflow,
            "ticket": self.ticket,
            "role": self.role,
            "label": [f"{name}:{value}" for name, value in self.labels],
            "time": self.range,
            "from": self.since,
            "to": self.until,
            "cursor": self.cursor,
            **changes,
        }
        pairs = [(name, item) for name, value in values.items() for item in _items(value)]
        return f"?{urlencode(pairs)}" if pairs else ""


def _items(value: str | Iterable[str] | None) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    return [] if value is None else list(value)


def _time(text: str) -> str | None:
    try:
        return iso(datetime.fromisoformat(text).timestamp()) if text else None
    except (ValueError, OverflowError, OSError):
        return None
