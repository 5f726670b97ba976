"""The numbers of a run's events: a position in its log, and a place within that message."""

from __future__ import annotations


def number(text: str | int) -> tuple[int, float]:
    """An event's number as position and place; `12` alone means everything at position 12.

    Raises:
        ValueError: it is not an event's number.
    """
    position, dot, place = str(text).partition(".")
    if not position.isdigit() or (dot and not place.isdigit()):
        raise ValueError(f"{text!r} is not the number of an event: give an `id`, such as '12.0'")
    return int(position), float(place) if dot else float("inf")
