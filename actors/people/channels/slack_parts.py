"""The parts of a Slack message. Pure.

Text that comes from outside is only ever put into `said`, `code`, `small` and labels: Slack formats
nothing there, so no mention, link or emphasis in it works. `marked` takes our own words only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ....runtime.times import iso
from .slack_button import PREFIX, Pressed, value_of
from .slack_text import NOTHING, literal

Block = dict[str, Any]

_HEADER: Final = 150
_LABEL: Final = 75
_SMALL: Final = 900
_CONFIRM: Final = 300


def header(text: str) -> Block:
    """A title."""
    return {"type": "header", "text": plain(" ".join(text.split()), _HEADER)}


def said(text: str) -> Block:
    """Somebody's text, which `cut` has made to fit."""
    inner = {"type": "rich_text_section", "elements": [{"type": "text", "text": text or NOTHING}]}
    return {"type": "rich_text", "elements": [inner]}


def code(text: str) -> Block:
    """A text in a fixed-width font, which `cut` has made to fit."""
    inner = {
        "type": "rich_text_preformatted",
        "elements": [{"type": "text", "text": text or NOTHING}],
    }
    return {"type": "rich_text", "elements": [inner]}


def small(*texts: str | Block) -> Block:
    """A line of small text: anybody's words, or what `marked` has made."""
    inner = [plain(each, _SMALL) if isinstance(each, str) else each for each in texts]
    return {"type": "context", "elements": inner}


def marked(text: str) -> Block:
    """Our own words with mentions and dates."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def section(text: str) -> Block:
    """A paragraph of our own words with mentions and dates."""
    return {"type": "section", "text": marked(text)}


def plain(text: str, most: int) -> Block:
    """Anybody's text, where Slack formats nothing."""
    return {"type": "plain_text", "text": literal(text, most), "emoji": False}


def date(at: float) -> str:
    """A time for `marked`, which Slack shows in the reader's own zone."""
    return f"<!date^{max(int(at), 0)}^{{date_short_pretty}} {{time}}|{iso(at)}>"


def button(label: str, pressed: Pressed, *, style: str = "", confirm: Block | None = None) -> Block:
    """A button; `style` is `primary`, `danger` or empty."""
    more: Block = {"style": style} if style else {}
    if confirm is not None:
        more["confirm"] = confirm
    which = f":{pressed.choice}" if pressed.choice >= 0 else ""
    return {
        "type": "button",
        "text": plain(label, _LABEL),
        "action_id": f"{PREFIX}{pressed.act}{which}",
        "value": value_of(pressed),
        **more,
    }


def buttons(several: Sequence[Block]) -> Block:
    """A row of buttons."""
    return {"type": "actions", "elements": list(several)}


def confirm(title: str, text: str, yes: str) -> Block:
    """What is asked before a button does anything."""
    return {
        "title": plain(title, 100),
        "text": plain(text, _CONFIRM),
        "confirm": plain(yes, 30),
        "deny": plain("Cancel", 30),
    }


def fits_label(text: str) -> bool:
    """Whether a text can be the label of a button without being cut."""
    return bool(text.strip()) and literal(text, _LABEL) == literal(text, _LABEL * 10)
