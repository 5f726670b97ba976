"""Lengths of time as people write them: `4h`, `1h30m`, `PT4H`, or plain seconds."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Final

from .errors import InvalidDuration

LONGEST: Final = 100 * 365 * 86_400.0
"""Seconds in the longest duration: about 100 years, so that deadlines stay valid dates."""

_SIZES: Final = {"w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER: Final = r"[0-9]+(?:\.[0-9]+)?"
_SHORT: Final = re.compile(
    rf"(?:(?P<w>{_NUMBER}) ?w ?)?(?:(?P<d>{_NUMBER}) ?d ?)?(?:(?P<h>{_NUMBER}) ?h ?)?"
    rf"(?:(?P<m>{_NUMBER}) ?m(?:in)? ?)?(?:(?P<s>{_NUMBER}) ?s ?)?(?:(?P<ms>{_NUMBER}) ?ms)?"
)
_ISO: Final = re.compile(
    rf"P(?:(?P<w>{_NUMBER})W)?(?:(?P<d>{_NUMBER})D)?"
    rf"(?:T(?=[0-9])(?:(?P<h>{_NUMBER})H)?(?:(?P<m>{_NUMBER})M)?(?:(?P<s>{_NUMBER})S)?)?"
)
_SPELLINGS: Final = (
    'Write it as "4h", "1h30m", "90s", "250ms", "2d", "1w", "PT4H", a timedelta, '
    "or a number of seconds such as 90.0."
)


def seconds(value: str | float | timedelta, *, allow_zero: bool = False) -> float:
    """Read a duration as seconds.

    Args:
        value: text such as `4h`, `1h30m`, `90s`, `250ms`, `2d`, `1w` or `PT4H`; a timedelta; or a
            number of seconds. Text that is a bare number is refused: it does not say its unit.
        allow_zero: whether no time at all will do.

    Raises:
        InvalidDuration: if it cannot be read, is negative or is over 100 years. A `ValueError` too.
    """
    amount = _amount(value)
    if not math.isfinite(amount) or amount > LONGEST:
        raise InvalidDuration(f"The duration {value!r} is over 100 years. {_SPELLINGS}")
    if amount < 0 or (amount == 0 and not allow_zero):
        least = "must not be negative" if allow_zero else "must be more than zero"
        raise InvalidDuration(f"The duration {value!r} {least}. {_SPELLINGS}")
    return amount


def human(amount: float) -> str:
    """Write seconds for people, to two units: `4 h`, `1 h 30 min`, `10 s`, `250 ms`."""
    sign, amount = ("-", -amount) if amount < 0 else ("", amount)
    if 0 < round(amount * 1000) < 1000:  # noqa: PLR2004  milliseconds in a second
        return f"{sign}{round(amount * 1000)} ms"
    if round(amount, 1) < _SIZES["m"]:
        return f"{sign}{round(amount, 1):g} s"
    return sign + " ".join(_two_units(amount))


def _two_units(amount: float) -> list[str]:
    smallest = (
        next(
            unit for above, unit in (("d", "h"), ("h", "m"), ("m", "s")) if amount >= _SIZES[above]
        )
        if amount >= _SIZES["m"]
        else "s"
    )
    left = round(amount / _SIZES[smallest]) * round(_SIZES[smallest])
    parts: list[str] = []
    for unit, name in (("d", "d"), ("h", "h"), ("m", "min"), ("s", "s")):
        count, left = divmod(left, round(_SIZES[unit]))
        if count:
            parts.append(f"{count} {name}")
    return parts


def _amount(value: object) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, str):
        return _read(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    raise InvalidDuration(f"{value!r} is not a duration. {_SPELLINGS}")


def _read(text: str) -> float:
    trimmed = text.strip()
    match = _ISO.fullmatch(trimmed) or _SHORT.fullmatch(trimmed)
    parts = {unit: part for unit, part in match.groupdict().items() if part} if match else {}
    if not parts:
        shown = repr(text[:60])
        if re.fullmatch(_NUMBER, trimmed):
            raise InvalidDuration(f"The duration {shown} does not say its unit. {_SPELLINGS}")
        raise InvalidDuration(f"The duration {shown} cannot be read. {_SPELLINGS}")
    return math.fsum(float(part) * _SIZES[unit] for unit, part in parts.items())
