"""Forms in Slack: made from a JSON Schema, read from what was entered."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from layby.actors.people.channels.slack_button import Pressed, pressed_in, value_of
from layby.actors.people.channels.slack_errors import explained
from layby.actors.people.channels.slack_form import entered, fields_of
from layby.actors.people.channels.slack_modal import (
    block_id,
    fields_for,
    origin_in,
    typed_in,
    view_of,
)
from layby.actors.people.channels.slack_people import People, User
from layby.actors.people.channels.slack_text import written
from layby.bus.errors import LaybyError
from layby.channels import ChannelError, Undeliverable, slack
from layby.runtime.forms import fit, schema_of
from tests.slack_cards import approval, card
from tests.slack_rules import wrong_with_message, wrong_with_view

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
Parts = dict[str, st.SearchStrategy[Any]]
NOTHING: Parts = {}
NAMES = ["string", "integer", "number", "boolean", "object", "array", "null", 7]
TYPED: Parts = {"type": st.sampled_from(NAMES)}
MORE: Parts = {
    "enum": st.lists(JSON, max_size=4),
    "default": JSON,
    "description": st.text() | JSON,
    "title": st.text(max_size=400),
    "maxLength": st.integers(-5, 9_000) | JSON,
    "minLength": st.integers(-5, 9_000) | JSON,
    "pattern": st.text(max_size=5),
    "$ref": st.sampled_from(["#/$defs/A", "#/$defs/B", "x"]),
}
PART: st.SearchStrategy[Any] = st.one_of(JSON, st.fixed_dictionaries(TYPED, optional=MORE))
WHOLE: Parts = {
    "type": st.sampled_from(["object", "string", "boolean"]),
    "properties": st.dictionaries(st.text(max_size=300), PART, max_size=6) | JSON,
    "required": st.lists(st.text(max_size=5)) | JSON,
    "$defs": st.fixed_dictionaries({"A": PART, "B": PART}),
    "enum": st.lists(JSON, max_size=120),
    "anyOf": st.lists(PART, max_size=3),
    "description": st.text() | JSON,
}
FORMS = st.fixed_dictionaries(NOTHING, optional=WHOLE)
OPEN = Pressed("open", "T125", "q1", "developer")


class Refund(BaseModel):
    order: str = Field(description="As on the bill", min_length=2)
    cents: int
    share: float = 0.5
    urgent: bool
    reason: Literal["late", "broken"] = "late"
    note: str | None = None


@given(FORMS, st.lists(st.none() | st.text(max_size=50), min_size=40, max_size=40))
def test_any_schema_has_a_form_that_slack_takes_and_any_entry_is_read(
    form: dict[str, Any], typed: list[str | None]
) -> None:
    asked = card(form=form)
    assert wrong_with_view(view_of(OPEN, asked, "C0ONCALL")) == []
    fields = fields_of(form)
    found = entered(form, fields, typed[: len(fields)])
    assert found.errors or found.answer is not None
    assert all(0 <= number < len(fields) for number in found.errors)


@given(st.text(min_size=1, max_size=200), st.text(max_size=32), st.integers(-1, 200))
def test_a_button_of_any_ticket_fits_and_comes_back(ticket: str, role: str, choice: int) -> None:
    pressed = Pressed("choose", ticket, "q" * 40, role, choice, "a4c40b38ddc2")
    try:
        value = value_of(pressed)
    except UnicodeEncodeError:
        return  # no ticket: it is not valid Unicode
    assert len(value) <= 2_000
    assert pressed_in(value) == pressed


@pytest.mark.parametrize(
    "value", [None, 7, "", "?", "x" * 3_000, "aGVsbG8", value_of(OPEN)[:-3], {"a": 1}, "oA", "kQ"]
)
def test_a_foreign_button_is_not_taken_for_ours(value: object) -> None:
    assert pressed_in(value) is None
    assert origin_in(value) is None


def test_a_flat_object_has_a_field_for_each_property() -> None:
    form = schema_of(Refund)
    kinds = [(each.name, each.kind, each.required) for each in fields_of(form)]
    assert kinds == [
        ("order", "text", True),
        ("cents", "integer", True),
        ("share", "number", False),
        ("urgent", "choice", True),
        ("reason", "choice", False),
        ("note", "text", False),
    ]
    view = view_of(OPEN, card(form=form), "C0ONCALL")
    elements = [block["element"] for block in view["blocks"] if block["type"] == "input"]
    assert [each["type"] for each in elements] == [
        "plain_text_input",
        "number_input",
        "number_input",
        "static_select",
        "static_select",
        "plain_text_input",
    ]
    assert elements[2]["initial_value"] == "0.5"
    assert elements[4]["initial_option"]["text"]["text"] == "late"
    typed = ["A1", "900", None, "0", "1", None]
    found = entered(form, fields_of(form), typed)
    assert found.answer == {"order": "A1", "cents": 900, "urgent": True, "reason": "broken"}
    assert fit(json.dumps(found.answer), form) == ""


def test_an_error_is_shown_at_its_field() -> None:
    form = schema_of(Refund)
    found = entered(form, fields_of(form), ["A1", "nine", "much", None, "7", None])
    assert found.errors == {
        1: "Enter a whole number.",
        2: "Enter a number.",
        3: "Fill this in.",
        4: "Choose one of the list.",
    }
    found = entered(form, fields_of(form), ["A", "9", "", "0", None, None])
    assert list(found.errors) == [0]
    assert "too short" in found.errors[0]


@pytest.mark.parametrize(
    ("form", "text", "answer"),
    [
        (None, "any text", "any text"),
        ({"type": "integer"}, "7", 7),
        ({"type": "string", "enum": list("abcdefg")}, "6", "g"),
        ({"type": "array", "items": {"type": "integer"}}, "[1, 2]", [1, 2]),
        ({"type": "object", "properties": {"a": {"type": "array"}}}, '{"a": []}', {"a": []}),
    ],
)
def test_a_schema_that_is_not_a_flat_object_has_one_field(
    form: dict[str, Any] | None, text: str, answer: object
) -> None:
    [field] = fields_of(form)
    assert entered(form, [field], [text]).answer == answer


def test_json_that_does_not_fit_is_refused_with_the_reason() -> None:
    form = {"type": "array", "items": {"type": "integer"}}
    [field] = fields_of(form)
    assert "not JSON" in entered(form, [field], ["[1,"]).errors[0]
    assert "nested" in entered(form, [field], ["[" * 100_000]).errors[0]
    assert "is not of type 'integer'" in entered(form, [field], ['["a"]']).errors[0]
    assert "broken" in entered({"type": "wrong"}, fields_of({"type": "wrong"}), ["1"]).errors[0]


def test_what_was_entered_is_found_in_the_view() -> None:
    pressed = Pressed("explain", "T125", "q1", "finance")
    view = view_of(pressed, approval(), "C0ONCALL")
    fields = fields_for(pressed, approval())
    state = {"values": {block_id(0): {"entry": {"type": "plain_text_input", "value": "too much"}}}}
    assert typed_in({**view, "state": state}, fields) == ["too much"]
    several: list[dict[str, Any]] = [{}, {"state": 7}, {"state": {"values": {block_id(0): []}}}]
    for broken in several:
        assert typed_in(broken, fields) == [None]
    origin = origin_in(view["private_metadata"])
    assert origin is not None
    assert origin.pressed == pressed
    assert origin.conversation == "C0ONCALL"


def test_a_message_is_read_as_it_was_written() -> None:
    text = "see <https://a.example/x?a=1&amp;b=2|this>, <@U1> in <#C1|general> <!here> "
    text += "a &lt; b &amp;lt;"
    assert written(text, {"U1": "ada"}) == (
        "see https://a.example/x?a=1&b=2, @ada in #general @here a < b &lt;"
    )


def test_a_user_of_another_workspace_is_somebody_else() -> None:
    people = People.of({"U1AB": "ada", "T2AB/U2AB": "bob"}, "slack('#x')")
    assert people.name_of(User("T1AB", "U1AB"), "T1AB") == "ada"
    assert people.name_of(User("T2AB", "U1AB"), "T1AB") == ""
    assert people.name_of(User("T2AB", "U2AB"), "T1AB") == "bob"
    assert people.name_of(User("T1AB", "U2AB"), "T1AB") == ""
    assert people.name_of(User("", "U1AB"), "T1AB") == ""


@pytest.mark.parametrize(
    ("channel", "people", "reason"),
    [
        ("oncall", {}, "write a channel's name"),
        ("#a b", {}, "write a channel's name"),
        ("#oncall", {"ada": "U1"}, "not a Slack user id"),
        ("#oncall", {"U1AB": "a.b"}, "cannot be a name in subjects"),
    ],
)
def test_a_channel_that_cannot_be_is_refused(
    channel: str, people: dict[str, str], reason: str
) -> None:
    with pytest.raises(LaybyError, match=reason):
        slack(channel, people=people)


@pytest.mark.parametrize(
    ("status", "headers", "data", "kind", "words"),
    [
        (200, {}, {"error": "not_in_channel"}, Undeliverable, "invite the app"),
        (
            200,
            {},
            {"error": "missing_scope", "needed": "groups:read"},
            Undeliverable,
            "groups:read",
        ),
        (200, {}, {"error": "internal_error"}, ChannelError, "for now: internal_error"),
        (502, {}, "<html>", ChannelError, "HTTP status 502"),
        (200, {}, None, ChannelError, "HTTP status 200"),
        (200, {}, {"error": ["x"]}, ChannelError, "HTTP status 200"),
        (429, {"Retry-After": "7"}, {}, ChannelError, "wait 7 s"),
        (200, {"Retry-After": "nan"}, {"error": "ratelimited"}, ChannelError, "wait 30 s"),
    ],
)
def test_errors_say_what_to_do(
    status: int, headers: dict[str, str], data: object, kind: type[ChannelError], words: str
) -> None:
    found = explained("chat.postMessage", status, headers, data)
    assert type(found) is kind
    assert words in str(found)
    waits = status == 429 or "Retry-After" in headers
    assert (found.retry_after is not None) is waits


def test_the_rules_of_these_tests_notice_what_slack_would_refuse() -> None:
    assert wrong_with_message({"blocks": [], "text": "x"})
    long = {"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}
    assert wrong_with_message({"blocks": [long], "text": "x"})
    link = {"type": "section", "text": {"type": "mrkdwn", "text": "<!channel>"}}
    assert wrong_with_message({"blocks": [link], "text": "x"})
