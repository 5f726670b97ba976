"""What spans hold of what models and tools say: in whose words, how much, and without secrets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.actors.models.model import (
    Message,
    ModelRequest,
    ModelResponse,
    Opaque,
    StopReason,
    Text,
    ToolCall,
    ToolResult,
)
from layby.tracing import names
from layby.tracing.content import SWITCH, asked, called, is_wanted, returned, said


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> str:
    value = "swordfish-77"
    monkeypatch.setenv("SHOP_TOKEN", value)
    return value


def told(text: str) -> Message:
    return Message(role="user", parts=[Text(text=text)])


def sent(*messages: Message, system: str = "") -> list[Any]:
    request = ModelRequest(system=system, messages=list(messages))
    found: list[Any] = json.loads(asked(request)[names.INPUT])
    return found


@pytest.mark.parametrize("value", ["true", "TRUE", " true ", "span_only", "SPAN_AND_EVENT"])
def test_contents_are_in_spans_if_the_variable_says_so(value: str) -> None:
    assert is_wanted({SWITCH: value})


@pytest.mark.parametrize("value", ["", "false", "no_content", "event_only", "1", "yes"])
def test_contents_are_in_no_span_unless_the_variable_says_so(value: str) -> None:
    assert not is_wanted({SWITCH: value})


def test_contents_are_in_no_span_without_the_variable() -> None:
    assert not is_wanted({})


def test_a_conversation_is_traced_in_its_order_with_roles_and_parts() -> None:
    call = ToolCall(id="c1", name="pay", arguments={"sum": 5})
    result = ToolResult(id="c1", name="pay", content="paid")
    assert sent(
        told("Pay it."),
        Message(role="assistant", parts=[Text(text="At once."), call]),
        Message(role="user", parts=[result]),
    ) == [
        {"role": "user", "parts": [{"type": "text", "content": "Pay it."}]},
        {
            "role": "assistant",
            "parts": [
                {"type": "text", "content": "At once."},
                {"type": "tool_call", "id": "c1", "name": "pay", "arguments": {"sum": 5}},
            ],
        },
        {
            "role": "user",
            "parts": [{"type": "tool_call_response", "id": "c1", "response": "paid"}],
        },
    ]


def test_what_only_its_provider_reads_is_named_and_not_shown() -> None:
    block = Opaque(provider="acme", data={"signature": "abc"})
    assert sent(Message(role="assistant", parts=[block])) == [
        {"role": "assistant", "parts": [{"type": "opaque"}]}
    ]


def test_instructions_are_traced_only_if_there_are_any() -> None:
    request = ModelRequest(system="Be kind.", messages=[told("Hello")])
    assert json.loads(asked(request)[names.SYSTEM]) == [{"type": "text", "content": "Be kind."}]
    assert names.SYSTEM not in asked(ModelRequest(system="", messages=[told("Hello")]))


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("end", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "tool_call"),
        ("max_tokens", "length"),
        ("context_window", "length"),
        ("refusal", "content_filter"),
    ],
)
def test_why_a_response_ended_is_traced_in_the_words_of_the_conventions(
    reason: StopReason, word: str
) -> None:
    message = Message(role="assistant", parts=[Text(text="Done.")])
    response = ModelResponse(message=message, stop_reason=reason)
    assert json.loads(said(response)[names.OUTPUT]) == [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": "Done."}],
            "finish_reason": word,
        }
    ]


def test_no_secret_is_in_anything_that_is_traced(token: str) -> None:
    call = ToolCall(id="c1", name="pay", arguments={token: [token, {"deep": (token,)}]})
    result = ToolResult(id="c1", name="pay", content=token)
    message = Message(role="user", parts=[Text(text=token), call, result])
    traced = [
        *asked(ModelRequest(system=f"Use {token}.", messages=[message])).values(),
        *said(ModelResponse(message=message, stop_reason="end")).values(),
        *called(call.arguments).values(),
        *returned(f"got {token}").values(),
    ]
    assert len(traced) == 5
    assert all("[redacted]" in each for each in traced)
    assert all(token not in each for each in traced)


def test_a_secret_that_would_be_cut_is_masked_first(token: str) -> None:
    text = returned("x" * 7_995 + token)[names.TOOL_RESULT]
    assert "sword" not in text
    assert len(text) == 8_000


@pytest.mark.parametrize(("length", "kept"), [(8_000, 8_000), (8_001, 8_000), (100_000, 8_000)])
def test_a_long_text_is_cut_and_shows_that(length: int, kept: int) -> None:
    text = returned("x" * length)[names.TOOL_RESULT]
    assert len(text) == kept
    assert text.endswith("…") is (length > kept)


def test_the_oldest_messages_of_a_long_conversation_are_left_out() -> None:
    messages = [told(f"{n}:" + "x" * 7_000) for n in range(20)]
    kept = [each["parts"][0]["content"].split(":")[0] for each in sent(*messages)]
    assert kept == [str(n) for n in range(20 - len(kept), 20)]
    assert len(kept) == 9


def test_the_newest_message_is_traced_however_long_it_is() -> None:
    long = Message(role="user", parts=[Text(text="x" * 8_000) for _ in range(10)])
    found = sent(told("old"), long)
    assert len(found) == 1
    assert len(found[0]["parts"]) == 10


def nested(depth: int) -> Any:
    value: Any = "end"
    for _ in range(depth):
        value = {"in": value}
    return value


def test_arguments_are_traced_to_a_certain_depth() -> None:
    assert "end" in called(nested(12))[names.TOOL_ARGUMENTS]
    deeper = called(nested(13))[names.TOOL_ARGUMENTS]
    assert "end" not in deeper
    assert "…" in deeper


def test_lists_in_arguments_are_traced_and_count_as_depth() -> None:
    traced = called({"of": [1, ["two"]]})[names.TOOL_ARGUMENTS]
    assert json.loads(traced) == {"of": [1, ["two"]]}
    value: Any = "end"
    for _ in range(12):
        value = [value]
    assert "end" not in called({"of": value})[names.TOOL_ARGUMENTS]
    assert "end" in called({"of": value[0]})[names.TOOL_ARGUMENTS]


def test_an_argument_that_is_no_json_is_traced_as_text() -> None:
    traced = json.loads(called({"at": complex(1, 2), "on": True})[names.TOOL_ARGUMENTS])
    assert traced == {"at": "(1+2j)", "on": True}


@given(st.text())
def test_any_text_can_be_sent_as_an_attribute(text: str) -> None:
    lone = f"{text}\ud800"
    for traced in (returned(lone), called({lone: lone}), asked_alone(lone)):
        for each in traced.values():
            assert each.encode()


def asked_alone(text: str) -> dict[str, str]:
    return asked(ModelRequest(system=text, messages=[told(text)]))
