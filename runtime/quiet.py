"""Quiet hours: a part of each day, in a time zone, in which people are not reminded. Pure."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .errors import InvalidSetup

_FORM = re.compile(r"([0-2][0-9]):([0-5][0-9])-([0-2][0-9]):([0-5][0-9]) (\S+)")


def zone(name: str, whose: str) -> ZoneInfo:
    """The time zone with an IANA name. Raises InvalidSetup."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidSetup(
            f"{whose}: this machine has no time zone {name!r}: write one such as Europe/Berlin; "
            "if it exists, install the package `tzdata`"
        ) from None


class Quiet(NamedTuple):
    """Quiet hours in local time: the end is not part of them."""

    start: time
    end: time
    zone: ZoneInfo

    def until(self, at: float) -> float:
        """When they are over, Unix seconds; `at` itself if they do not hold then."""
        local = datetime.fromtimestamp(at, self.zone)
        now = local.time()
        over_midnight = self.start > self.end
        if over_midnight:
            quiet = now >= self.start or now < self.end
        else:
            quiet = self.start <= now < self.end
        if not quiet:
            return at
        day = local.date() + timedelta(days=1 if over_midnight and now >= self.start else 0)
        end = datetime.combine(day, self.end, tzinfo=self.zone)
        over = end.timestamp()
        # When clocks are set back, the end may come twice, and the first may have been before.
        return over if over > at else end.replace(fold=1).timestamp()


def quiet_hours(text: str, whose: str) -> Quiet:
    """Read `22:00-07:00 Europe/Berlin`. Raises InvalidSetup."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise InvalidSetup(
            f"{whose}: {text!r} are not quiet hours: write 22:00-07:00 Europe/Berlin"
        )
    hours = [int(part) for part in found.groups()[:4]]
    try:
        start, end = time(hours[0], hours[1]), time(hours[2], hours[3])
    except ValueError:
        raise InvalidSetup(f"{whose}: {text!r}: a day has the hours 00 to 23") from None
    if start == end:
        raise InvalidSetup(f"{whose}: {text!r} are empty: begin and end at different times")
    return Quiet(start, end, zone(found[5], whose))
