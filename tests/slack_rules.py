"""What Slack takes: the limits of Block Kit, as far as Layby uses it, and what is unescaped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from layby.actors.people.channels.slack_json import as_list, as_object

Block = dict[str, Any]

WHOLE = 11_000
"""Characters of all texts of a message together, above which Slack has been seen to refuse it."""
_TOKENS = re.compile(r"<@[UW][A-Z0-9]+>|<!date\^\d+\^[^<>|]+\|[^<>|]+>")
_ENTITIES = re.compile(r"&(?:amp|lt|gt);")
_LIMITS = {
    "header": 150,
    "button": 75,
    "section": 3_000,
    "context": 3_000,
    "title": 100,
    "text": 300,
    "confirm": 30,
    "deny": 30,
    "label": 2_000,
    "hint": 2_000,
    "option": 75,
    "modal": 24,
}


def wrong_with_message(message: Block) -> list[str]:
    """Why Slack would refuse a message, or would read more in it than we mean; empty: nothing."""
    found = list(_blocks(message.get("blocks", []), 50))
    found += _unescaped(message.get("text", ""), "the notification")
    texts = sum(len(text) for text in _texts(message.get("blocks", [])))
    return [*found, *([f"{texts} characters in all"] if texts > WHOLE else [])]


def wrong_with_view(view: Block) -> list[str]:
    """Why Slack would refuse a form; empty: nothing."""
    found = list(_blocks(view["blocks"], 100))
    for part in ("title", "submit", "close"):
        found += _text(view[part], "modal")
    if len(view["private_metadata"]) > 3_000:
        found.append("private_metadata is too long")
    return found


def plain_texts(blocks: list[Block]) -> str:
    """All words of a message, as people read them."""
    return "\n".join(
        text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        for text in _texts(blocks)
    )


def buttons_of(blocks: list[Block]) -> list[Block]:
    """The buttons of a message."""
    rows = [block["elements"] for block in blocks if block["type"] == "actions"]
    return [button for row in rows for button in row]


def _blocks(blocks: list[Block], most: int) -> Iterator[str]:
    if not 0 < len(blocks) <= most:
        yield f"{len(blocks)} blocks"
    for block in blocks:
        yield from _block(block)


def _block(block: Block) -> Iterator[str]:
    match block["type"]:
        case "header" | "section":
            yield from _text(block["text"], block["type"])
        case "context":
            if not 0 < len(block["elements"]) <= 10:
                yield f"{len(block['elements'])} elements in a context"
            for each in block["elements"]:
                yield from _text(each, "context")
        case "rich_text":
            for text in _texts(block):
                yield from _length(text, 3_000, "rich_text")
        case "actions":
            yield from _buttons(block["elements"])
        case "input":
            yield from _input(block)
        case other:
            yield f"a block of the kind {other}"


def _buttons(buttons: list[Block]) -> Iterator[str]:
    ids = [each["action_id"] for each in buttons]
    if not 0 < len(buttons) <= 25 or len(set(ids)) < len(ids):
        yield f"buttons {ids}"
    for each in buttons:
        yield from _text(each["text"], "button")
        yield from _length(each["value"], 2_000, "value")
        yield from _length(each["action_id"], 255, "action_id")
        for part, text in each.get("confirm", {}).items():
            yield from _text(text, part)


def _input(block: Block) -> Iterator[str]:
    yield from _text(block["label"], "label")
    yield from _length(block["block_id"], 255, "block_id")
    if "hint" in block:
        yield from _text(block["hint"], "hint")
    element = block["element"]
    if element["type"] == "static_select":
        if not 0 < len(element["options"]) <= 100:
            yield f"{len(element['options'])} options"
        for option in element["options"]:
            yield from _text(option["text"], "option")
            yield from _length(option["value"], 150, "value of an option")
    elif element["type"] == "plain_text_input":
        if not 0 <= element["min_length"] <= element["max_length"] <= 3_000:
            yield f"a text of {element['min_length']} to {element['max_length']}"
        if not element["max_length"]:
            yield "a text without any characters"


def _text(text: Block, part: str) -> Iterator[str]:
    """What is wrong with a text object."""
    yield from _length(text["text"], _LIMITS[part], part)
    if text["type"] == "plain_text":
        yield from _raw(text["text"], part)
    else:
        yield from _unescaped(text["text"], part)


def _length(text: str, most: int, part: str) -> Iterator[str]:
    size = len(text.encode("utf-16-le", "surrogatepass")) // 2
    if not text.strip() or size > most:
        yield f"{part}: {size} characters"


def _unescaped(text: str, part: str) -> Iterator[str]:
    yield from _raw(_TOKENS.sub("", text), part)


def _raw(text: str, part: str) -> Iterator[str]:
    left = _ENTITIES.sub("", text)
    if any(char in left for char in "&<>"):
        yield f"{part}: unescaped: {text!r}"


def _texts(part: Any) -> Iterator[str]:
    """All texts in a block."""
    for each in as_list(part):
        yield from _texts(each)
    for key, each in as_object(part).items():
        if key == "text" and isinstance(each, str):
            yield each
        elif key != "confirm":
            yield from _texts(each)
