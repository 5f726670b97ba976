"""The form that a button opens, and what was entered there. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from ....runtime.channel import Card
from .slack_button import Pressed, pressed_in, value_of
from .slack_form import FormField, fields_of
from .slack_json import as_object
from .slack_lines import title
from .slack_parts import Block, plain, said, small
from .slack_text import cut

CALLBACK: Final = "layby:answer"
"""The id of the form."""
_ENTRY: Final = "entry"
_TITLE: Final = 24
_LABEL: Final = 150
_HINT: Final = 300
_QUESTION: Final = 2_000
_LONGEST: Final = 3_000
"""Characters that Slack takes in a field."""
_ONE_LINE: Final = 200
_REASON: Final = FormField(name="", kind="text", label="Reason", required=False)
_BACK: Final = FormField(
    name="", kind="text", label="What do you want to know?", schema={"maxLength": 2_000}
)
_ROLE: Final = FormField(
    name="role", kind="text", label="Or a role", required=False, schema={"maxLength": 32}
)
_PEOPLE: Final = 100
_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "explain": ("Reject", "Reject"),
    "pass": ("Pass on", "Pass on"),
    "ask-back": ("Ask back", "Ask"),
}
"""The title of a form and its button, by what opens it; otherwise it is an answer."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a form was opened, and for what; Slack gives it back with what was entered."""

    value: str
    conversation: str
    """The id of the channel."""

    @property
    def pressed(self) -> Pressed | None:
        """The button that opened it."""
        return pressed_in(self.value)


def origin_in(text: object) -> Origin | None:
    """Where a form was opened; None: it is not one of ours."""
    try:
        return msgspec.json.decode(text if isinstance(text, str) else "", type=Origin)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def fields_for(pressed: Pressed, card: Card, people: Sequence[str] = ()) -> list[FormField]:
    """The fields of the form that a button opens; `people` are those who are known here."""
    if pressed.act == "pass":
        known = tuple(sorted(people))[:_PEOPLE]
        label = "Somebody who can answer for the role"
        person = FormField(name="person", kind="choice", label=label, required=False, choices=known)
        return [*([person] if known else []), _ROLE]
    special = {"explain": _REASON, "ask-back": _BACK}.get(pressed.act)
    return [special] if special is not None else fields_of(card.form)


def view_of(pressed: Pressed, card: Card, conversation: str, people: Sequence[str] = ()) -> Block:
    """The form that a button opens; `people` are those who are known here."""
    name, send = _WORDS.get(pressed.act, ("Answer", "Send"))
    origin = Origin(value=value_of(pressed), conversation=conversation)
    question = cut(card.text, _QUESTION)
    blocks = [small(title(card)), said(question.text)]
    blocks += [_input(n, each) for n, each in enumerate(fields_for(pressed, card, people))]
    return {
        "type": "modal",
        "callback_id": CALLBACK,
        "private_metadata": msgspec.json.encode(origin).decode(),
        "title": plain(name, _TITLE),
        "submit": plain(send, _TITLE),
        "close": plain("Cancel", _TITLE),
        "blocks": blocks,
    }


def block_id(number: int) -> str:
    """The id of a field in the form."""
    return f"field:{number}"


def typed_in(view: Mapping[str, Any], fields: list[FormField]) -> list[str | None]:
    """What was entered into each field."""
    values = as_object(as_object(view.get("state")).get("values"))
    found: list[str | None] = []
    for number in range(len(fields)):
        entry = as_object(as_object(values.get(block_id(number))).get(_ENTRY))
        chosen = as_object(entry.get("selected_option"))
        value = chosen.get("value") if chosen else entry.get("value")
        found.append(value if isinstance(value, str) else None)
    return found


def _input(number: int, each: FormField) -> Block:
    hint = {"hint": plain(each.hint, _HINT)} if each.hint.strip() else {}
    return {
        "type": "input",
        "block_id": block_id(number),
        "label": plain(each.label, _LABEL),
        "optional": not each.required,
        "element": _element(each),
        **hint,
    }


def _element(each: FormField) -> Block:
    if each.kind == "choice":
        return _select(each)
    if each.kind in {"integer", "number"}:
        decimal = each.kind == "number"
        element: Block = {"type": "number_input", "is_decimal_allowed": decimal}
    else:
        element = {"type": "plain_text_input", **_lengths(each)}
    given = each.schema.get("default")
    is_plain = isinstance(given, str | int | float) and not isinstance(given, bool)
    if is_plain and 0 < len(str(given)) <= element.get("max_length", _ONE_LINE):
        element["initial_value"] = str(given)
    return {**element, "action_id": _ENTRY}


def _select(each: FormField) -> Block:
    options = [_option(place, each.choices) for place in range(len(each.choices))]
    given = each.schema.get("default")
    chosen = [
        options[place]
        for place, choice in enumerate(each.choices)
        if "default" in each.schema and type(choice) is type(given) and choice == given
    ]
    initial = {"initial_option": chosen[0]} if chosen else {}
    return {"type": "static_select", "action_id": _ENTRY, "options": options, **initial}


def _option(place: int, choices: tuple[Any, ...]) -> Block:
    choice = choices[place]
    if isinstance(choice, bool):
        shown = "yes" if choice else "no"
    else:
        shown = choice if isinstance(choice, str) else json.dumps(choice)
    return {"text": plain(shown, 75), "value": str(place)}


def _lengths(each: FormField) -> dict[str, Any]:
    """How long a text may be, and whether it has several lines."""
    most = _length(each.schema.get("maxLength"), _LONGEST)
    least = min(_length(each.schema.get("minLength"), 0), most)
    several = each.kind == "json" or most > _ONE_LINE
    return {"multiline": several, "max_length": max(most, 1), "min_length": least}


def _length(given: Any, otherwise: int) -> int:
    is_number = isinstance(given, int) and not isinstance(given, bool)
    return min(max(given, 0), _LONGEST) if is_number else otherwise
