"""A question's ladder on the screen: how far it has come, and what is next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from . import times
from .untrusted_text import one_line

if TYPE_CHECKING:
    from ...actors.people.shown_ask_back import ShownAskBack
    from ...actors.people.shown_ladder import ShownRung
    from ...actors.people.shown_openings import ShownOpening
    from ...views.rows import QuestionRow

_SEEN = 5
"""People who are listed with the time when they opened it."""
_WHAT = {"asked": "on duty", "reminder": "reminded"}


def ladder_lines(row: QuestionRow, now: datetime | None = None) -> list[str]:
    """Who is on it, who was told, and what comes next; empty if there is nothing to say."""
    whose = f"for {one_line(row.to.partition(':')[2])}"
    lines = [f"{whose} alone" if row.only else whose] if row.to else []
    if row.asked_of:
        lines.append(f"escalated from {row.asked_of}")
    if row.claim is not None:
        until = times.left(row.claim.until, since=now).removesuffix(" left")
        lines.append(one_line(f"{row.claim.by} is on it for {until}"))
    lines += [_opened(row.opened, now)] if row.opened else []
    if row.declined:
        lines.append(one_line(f"declined by {', '.join(row.declined)}"))
    lines += [_reached(rung, now) for rung in row.ladder if rung.reached]
    for asked in row.asked_back:
        lines.append(one_line(f"{asked.by} asked back {times.ago(asked.at, since=now)}"))
        lines += [f"  {one_line(asked.text)}", f"  {_reply(asked)}"]
    if row.stopped_at:
        lines.append("the clock is stopped until there is a reply")
    coming = [rung for rung in row.ladder if not rung.reached]
    if coming:
        lines.append(_next(coming[0], now))
    return lines


def _opened(seen: Sequence[ShownOpening], now: datetime | None) -> str:
    shown = [f"{each.by} {times.ago(each.at, since=now)}" for each in seen[:_SEEN]]
    more = f" and {len(seen) - _SEEN} more" if len(seen) > _SEEN else ""
    return one_line(f"opened by {', '.join(shown)}{more}")


def _reached(rung: ShownRung, now: datetime | None) -> str:
    what = f"asked {rung.to} too" if rung.to else _WHAT.get(rung.kind, rung.kind)
    what = f"{rung.by} passed it to {rung.to}" if rung.by else what
    who = [f"{each} for {rung.absent[each]}" if each in rung.absent else each for each in rung.told]
    names = "nobody on duty" if rung.nobody else ", ".join(who)
    return one_line(f"{what} {times.ago(rung.reached, since=now)}{f': {names}' if names else ''}")


def _reply(asked: ShownAskBack) -> str:
    if not asked.replied_at:
        return "no reply yet"
    who = f"{asked.replied_by or 'the app'}:" if not asked.failed else "there is no reply:"
    return one_line(f"{who} {asked.reply}")


def _next(rung: ShownRung, now: datetime | None) -> str:
    what = f"asks {rung.to} too" if rung.to else "a reminder" if rung.kind == "reminder" else "duty"
    held = ", held by quiet hours" if rung.held else ""
    left = times.left(rung.at, since=now)
    when = f"in {left.removesuffix(' left')}" if left.endswith(" left") else "is due"
    return one_line(f"next: {what} {when}{held}")
