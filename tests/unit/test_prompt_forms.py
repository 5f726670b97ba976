"""Requests of several providers, as people see them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from layby.actors.models import anthropic_wire, openai_wire, responses_wire
from layby.models import (
    Document,
    Image,
    Message,
    ModelRequest,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
)
from layby.views.prompt import PromptPart
from layby.views.prompt_forms import prompt

PNG = b"\x89PNG\r\n" + b"x" * 900
LOOK = ToolSpec(name="look", description="Look.", parameters={"type": "object"})
REQUEST = ModelRequest(
    system="Help.",
    messages=[
        Message(role="user", parts=[Text(text="Where?"), Image(data=PNG)]),
        Message(
            role="assistant",
            parts=[Text(text="Let me see."), ToolCall(id="c1", name="look", arguments={"a": "é"})],
        ),
        Message(role="user", parts=[ToolResult(id="c1", name="look", content="here")]),
        Message(role="user", parts=[Text(text="And?")]),
    ],
    tools=[LOOK],
    tool_choice="any",
)
FORMS: dict[str, dict[str, Any]] = {
    "anthropic": anthropic_wire.write_request(REQUEST),
    "openai": openai_wire.write_request(REQUEST),
    "responses": responses_wire.write_response_request(REQUEST),
}


def said(form: str, kind: str) -> list[PromptPart]:
    """The parts of one kind, as they are shown."""
    shown = prompt(form, {"model": "m", **FORMS[form]})
    return [part for message in shown.messages for part in message.parts if part.kind == kind]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_shown_alike(form: str) -> None:
    shown = prompt(form, {"model": "m", "temperature": 0.5, **FORMS[form]})
    assert (shown.form, shown.model, shown.system) == (form, "m", "Help.")
    assert shown.params["temperature"] == 0.5
    assert set(shown.params) == {"temperature", "tool_choice"}
    [tool] = shown.tools
    assert (tool.name, tool.description, tool.parameters) == ("look", "Look.", {"type": "object"})
    assert [part.text for part in said(form, "text")] == ["Where?", "Let me see.", "And?"]
    [call] = said(form, "tool_call")
    assert (call.tool, call.id, "é" in call.text) == ("look", "c1", True)
    [result] = said(form, "tool_result")
    assert (result.text, result.id) == ("here", "c1")
    assert said(form, "other") == []


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_is_shown_by_its_type_and_size(form: str) -> None:
    [picture] = said(form, "attachment")
    assert "image/png" in picture.text
    assert "characters" in picture.text
    assert len(picture.text) < 100


def test_a_document_is_shown_by_its_name() -> None:
    document = Document(data=b"%PDF-1", name="contract.pdf")
    request = ModelRequest(system="", messages=[Message(role="user", parts=[document])])
    for form, body in (
        ("anthropic", anthropic_wire.write_request(request)),
        ("openai", openai_wire.write_request(request)),
        ("responses", responses_wire.write_response_request(request)),
    ):
        [message] = prompt(form, body).messages
        [part] = message.parts
        assert (part.kind, "contract.pdf" in part.text) == ("attachment", True), form


def test_a_document_at_an_address_is_shown_by_it() -> None:
    document = Document(url="https://example.com/a.pdf")
    request = ModelRequest(system="", messages=[Message(role="user", parts=[document])])
    [message] = prompt("anthropic", anthropic_wire.write_request(request)).messages
    assert message.parts[0].text == "document, https://example.com/a.pdf"


def test_an_error_is_shown_as_one() -> None:
    failed = ToolResult(id="c1", name="look", content="no", is_error=True)
    request = ModelRequest(system="", messages=[Message(role="user", parts=[failed])])
    [message] = prompt("anthropic", anthropic_wire.write_request(request)).messages
    assert message.parts[0].is_error


def test_what_only_the_provider_understands_is_shown_as_json() -> None:
    thought = {"type": "thinking", "thinking": "Hm", "signature": "c2ln"}
    shown = prompt("anthropic", {"messages": [{"role": "assistant", "content": [thought]}]})
    [part] = shown.messages[0].parts
    assert (part.kind, part.text) == (
        "other",
        '{"type":"thinking","thinking":"Hm","signature":"c2ln"}',
    )


def test_a_providers_own_tool_is_shown_by_its_type() -> None:
    shown = prompt("responses", {"input": "Find it.", "tools": [{"type": "web_search"}]})
    assert [tool.name for tool in shown.tools] == ["web_search"]
    assert [part.text for part in shown.messages[0].parts] == ["Find it."]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("role", "type", "content", "parts", "text", "name", "function", "source"),
                    *("tool_calls", "tool_call_id", "input", "arguments", "output", "data", "id"),
                ]
            ),
            inner | st.sampled_from(["tool", "system", "image", "tool_use", "function_call"]),
            max_size=5,
        )
    ),
    max_leaves=20,
)
fields = st.sampled_from(["messages", "input", "system", "instructions", "tools", "model", "x"])


@given(st.dictionaries(fields, anything, max_size=5))
@example({"messages": [{"role": []}]})
def test_no_request_is_too_odd_to_be_shown(body: dict[str, Any]) -> None:
    assert prompt("anthropic", body).body == body
