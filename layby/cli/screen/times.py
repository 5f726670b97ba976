"""Times and durations as a person reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from .errors import UsageError

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_RECENT = 2
_PRECISE = 10


def parse(at: str) -> datetime:
    """Read an ISO 8601 time; one without a zone is taken as UTC."""
    moment = datetime.fromisoformat(at)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def now() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


def duration(text: str, *, allow_zero: bool = False) -> float:
    """Seconds in an option's value: `10s`, `1h30m`, `4h`.

    Raises:
        UsageError: It is not a duration.
    """
    from ...bus.duration import seconds
    from ...bus.errors import InvalidDuration

    try:
        return seconds(text, allow_zero=allow_zero)
    except InvalidDuration as error:
        reason, _, _ = str(error).partition(". ")
        raise UsageError(
            reason[:1].lower() + reason[1:],
            "write a number and a unit, such as 250ms, 10s, 5m, 1h30m or 7d",
            kind="InvalidDuration",
        ) from error


def span(seconds: float) -> str:
    """A duration in its two largest units: `400 ms`, `12 s`, `3 min 20 s`, `4 h`."""
    from ...bus.duration import human

    return human(max(seconds, 0.0))


def ago(at: str, *, since: datetime | None = None) -> str:
    """How long ago `at` was, roughly: `just now`, `3 min ago`."""
    seconds = ((since or now()) - parse(at)).total_seconds()
    return "just now" if seconds < _RECENT else f"{_rough(seconds)} ago"


def left(deadline: str, *, since: datetime | None = None) -> str:
    """How much time is left until `deadline`: `3 h left`, `overdue`."""
    seconds = (parse(deadline) - (since or now())).total_seconds()
    return f"{_rough(seconds)} left" if seconds > 0 else "overdue"


def clock(at: str, *, since: datetime | None = None) -> str:
    """The local wall-clock time, with the day if it is not today."""
    moment = parse(at).astimezone()
    today = (since or now()).astimezone().date()
    day = "" if moment.date() == today else f"{moment:%d %b} "
    seconds = abs(moment - (since or now())) < timedelta(hours=1)
    return f"{day}{moment:%H:%M:%S}" if seconds else f"{day}{moment:%H:%M}"


def offset(seconds: float) -> str:
    """Time since a run began, narrow and aligned: `0.04s`, `12.0s`, `3:20`, `4:00:01`."""
    if seconds < _PRECISE:
        return f"{max(seconds, 0):.2f}s"
    if seconds < _MINUTE:
        return f"{max(seconds, 0):.1f}s"
    minutes, rest = divmod(int(seconds), _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _rough(seconds: float) -> str:
    for size, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        # 3 h 59 min 58 s, seen two seconds after it was asked, is 4 h to a person.
        if seconds >= size * 0.99:
            return f"{max(1, round(seconds / size))} {name}"
    return f"{max(1, round(seconds))} s"
