"""What goes to OpenAI's Responses API, and what is read from its events, without a server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from layby.actors.models.model import Part
from layby.actors.models.responses_reader import ResponsesReader
from layby.actors.models.responses_wire import write_response_request
from layby.models import (
    Document,
    Image,
    Message,
    ModelError,
    ModelRequest,
    ModelResponse,
    Opaque,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
)

OURS = "openai-responses"
CALL = ToolCall(id="1", name="look", arguments={"of": "Zürich"})


def written(*said: Message, stored: bool = False) -> Any:
    return write_response_request(ModelRequest(system="", messages=list(said)), stored=stored)[
        "input"
    ]


def user(*parts: Part) -> Message:
    return Message(role="user", parts=list(parts))


def assistant(*parts: Part) -> Message:
    return Message(role="assistant", parts=list(parts))


def kept(type: str, **data: Any) -> Opaque:  # noqa: A002
    return Opaque(provider=OURS, data={"type": type, **data})


def test_a_request_has_no_empty_fields() -> None:
    asked = ModelRequest(system="", messages=[user(Text(text="Hi"))])
    assert write_response_request(asked) == {
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}]
    }


def test_a_tool_that_is_not_strict_says_so() -> None:
    """Otherwise the API takes every schema for a strict one, without optional fields."""
    tool = ToolSpec(name="look", description="", parameters={"type": "object"})
    fields = write_response_request(
        ModelRequest(system="Be kind", messages=[], tools=[tool], tool_choice="look")
    )
    assert fields["instructions"] == "Be kind"
    assert fields["tool_choice"] == {"type": "function", "name": "look"}
    (sent,) = fields["tools"]
    assert sent["strict"] is False
    assert "description" not in sent


def test_results_come_before_what_the_user_says() -> None:
    failed = ToolResult(id="1", name="look", content="it rains", is_error=True)
    call, result, said = written(assistant(CALL), user(Text(text="And?"), failed))
    assert (call["type"], call["call_id"], call["arguments"]) == (
        "function_call",
        "1",
        '{"of": "Zürich"}',
    )
    assert result == {
        "type": "function_call_output",
        "call_id": "1",
        "output": "Error: it rains",
    }
    assert said["role"] == "user"


def test_a_result_alone_is_no_message() -> None:
    (only,) = written(user(ToolResult(id="1", name="look", content="ok"), Text(text=" ")))
    assert only["output"] == "ok"


def test_reasoning_goes_before_the_item_that_it_led_to() -> None:
    thought = kept("reasoning", id="r", encrypted_content="e", status="completed")
    items = written(assistant(thought, CALL, Text(text="So")))
    assert [item.get("type", "text") for item in items] == ["reasoning", "function_call", "text"]
    assert "status" not in items[0]


def test_reasoning_that_nothing_follows_stays_here() -> None:
    thought = kept("reasoning", id="r", encrypted_content="e")
    assert written(assistant(Text(text="So"), thought)) == [{"role": "assistant", "content": "So"}]


@pytest.mark.parametrize(("stored", "sent"), [(True, 2), (False, 1)])
def test_unsealed_reasoning_goes_back_only_to_a_server_that_stores_it(
    *, stored: bool, sent: int
) -> None:
    assert len(written(assistant(kept("reasoning", id="r"), CALL), stored=stored)) == sent


def test_a_phase_belongs_to_the_next_text_only() -> None:
    parts: list[Part] = [kept("phase", phase="commentary"), CALL, Text(text="a"), Text(text="b")]
    _, one, other = written(assistant(*parts))
    assert one == {"role": "assistant", "content": "a", "phase": "commentary"}
    assert other == {"role": "assistant", "content": "b"}


def test_items_of_the_servers_own_tools_go_back_and_refusals_do_not() -> None:
    search = kept("web_search_call", id="w", status="completed")
    other = Opaque(provider="anthropic", data={"type": "web_search_call"})
    assert written(assistant(search, kept("refusal", refusal="no"), other)) == [search.data]


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            Image(url="https://a.test/i"),
            {"type": "input_image", "detail": "auto", "image_url": "https://a.test/i"},
        ),
        (
            Document(url="https://a.test/d.pdf"),
            {"type": "input_file", "file_url": "https://a.test/d.pdf"},
        ),
        (
            Document(data=b"a,b", media_type="text/csv", name="t.csv"),
            {"type": "input_text", "text": "[t.csv]\na,b"},
        ),
        (
            Document(data=b"a", media_type="text/plain"),
            {"type": "input_text", "text": "[document]\na"},
        ),
        (
            Document(data=b"%PDF-"),
            {
                "type": "input_file",
                "filename": "document.pdf",
                "file_data": "data:application/pdf;base64,JVBERi0=",
            },
        ),
    ],
)
def test_each_attachment_in_the_form_that_the_api_takes(
    part: Image | Document, block: dict[str, str]
) -> None:
    (message,) = written(user(part))
    assert message["content"] == [block]


# -- reading ---------------------------------------------------------------------------------------


def event(type: str, **fields: Any) -> Any:  # noqa: A002
    return SimpleNamespace(type=type, **fields)


def text(said: str, **more: Any) -> Any:
    return event("message", content=[event("output_text", text=said)], **more)


def call(arguments: str = "{}", name: str = "look") -> Any:
    return event("function_call", call_id="c1", name=name, arguments=arguments)


def other(type: str) -> Any:  # noqa: A002
    def to_dict(mode: str) -> dict[str, Any]:
        return {"type": type, "mode": mode}

    return event(type, to_dict=to_dict)


def ended(
    kind: str = "completed", *, reason: str | None = None, usage: Any = None, **more: Any
) -> Any:
    details = None if reason is None else SimpleNamespace(reason=reason)
    whole: dict[str, Any] = {"output": [], "model": "", "usage": usage, **more}
    response = SimpleNamespace(status=kind, incomplete_details=details, **whole)
    return event(f"response.{kind}", response=response)


def read(*items: Any, end: Any = None) -> ModelResponse:
    reader = ResponsesReader("m-1")
    for place, item in reversed(list(enumerate(items))):
        reader.take(event("response.output_item.done", output_index=place, item=item))
    reader.take(end or ended())
    return reader.response()


def test_only_text_is_heard_while_it_arrives() -> None:
    reader = ResponsesReader("m-1")
    assert reader.take(event("response.output_text.delta", delta="Hi")) == "Hi"
    assert reader.take(event("response.reasoning.delta", delta="Hm")) == ""
    assert reader.take(event("response.output_item.done", output_index=0, item=text("Hi"))) == ""
    assert not reader.complete
    assert reader.take(ended()) == ""
    assert reader.complete
    assert reader.problem is None


def test_items_are_in_the_order_of_their_places_not_of_their_arrival() -> None:
    parts = read(text("a"), call('{"n": 1}'), text("b")).message.parts
    assert parts == [
        Text(text="a"),
        ToolCall(id="c1", name="look", arguments={"n": 1}),
        Text(text="b"),
    ]


def test_a_server_that_sends_no_items_may_send_them_at_the_end() -> None:
    assert read(end=ended(output=[text("Hi")])).message.text == "Hi"
    assert read(end=ended(output=None)).message.parts == []


def test_the_model_is_the_one_that_the_server_names() -> None:
    assert read(end=ended(model="m-1-2025")).model == "m-1-2025"
    assert read().model == "m-1"


@pytest.mark.parametrize(
    ("items", "end", "reason"),
    [
        ([text("Hi")], ended(), "end"),
        ([text("Hi"), call()], ended(), "tool_use"),
        ([text("Hi")], ended("incomplete", reason="max_output_tokens"), "max_tokens"),
        ([text("Hi")], ended("incomplete", reason="content_filter"), "refusal"),
        ([text("Hi")], ended("incomplete", reason="something new"), "max_tokens"),
        ([text("Hi")], ended("incomplete"), "max_tokens"),
        ([event("message", content=[event("refusal", refusal="no")]), call()], ended(), "refusal"),
    ],
)
def test_why_a_response_ended(items: list[Any], end: Any, reason: str) -> None:
    assert read(*items, end=end).stop_reason == reason


def test_a_response_that_was_cut_short_keeps_its_text_and_phase_only() -> None:
    items = [other("reasoning"), text("Wait", phase="commentary"), call('{"a"')]
    parts = read(*items, end=ended("incomplete", reason="max_output_tokens")).message.parts
    assert parts == [kept("phase", phase="commentary"), Text(text="Wait")]


def test_a_refusal_is_kept_for_people_and_its_calls_do_not_run() -> None:
    refusal = event("message", content=[event("refusal", refusal="no")])
    assert read(other("reasoning"), refusal, call()).message.parts == [
        kept("refusal", refusal="no")
    ]


def test_what_layby_does_not_know_is_kept_for_the_next_request() -> None:
    empty = event("message", content=[event("output_text", text=""), event("odd")])
    (part,) = read(other("web_search_call"), empty).message.parts
    assert part == kept("web_search_call", mode="json")


@pytest.mark.parametrize("arguments", ["[1]", "null", '{"a":'])
def test_arguments_that_are_no_object_may_be_asked_for_again(arguments: str) -> None:
    with pytest.raises(ModelError, match="m-1 called look with arguments that are not") as failed:
        read(call(arguments))
    assert failed.value.retryable


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        (event("error", code="server_error", message="Oh"), ("server_error", "Oh")),
        (event("error", code=None, message=None), ("", "it did not say why")),
        (ended("failed", error=SimpleNamespace(code="c", message="m")), ("c", "m")),
        (ended("failed", error=None), ("", "it did not say why")),
    ],
)
def test_an_error_in_the_stream_is_reported(sent: Any, problem: tuple[str, str]) -> None:
    reader = ResponsesReader("m-1")
    reader.take(sent)
    assert reader.problem == problem


@pytest.mark.parametrize(
    ("details", "counted"),
    [
        (None, (20, 5, 0, 0)),
        (SimpleNamespace(cached_tokens=4, cache_write_tokens=3), (13, 5, 4, 3)),
        (SimpleNamespace(cached_tokens=None), (20, 5, 0, 0)),
        (SimpleNamespace(cached_tokens=19, cache_write_tokens=3), (0, 5, 19, 3)),
    ],
)
def test_no_token_is_counted_twice(details: Any, counted: tuple[int, int, int, int]) -> None:
    usage = SimpleNamespace(input_tokens=20, output_tokens=5, input_tokens_details=details)
    used = read(end=ended(usage=usage)).usage
    assert (
        used.input_tokens,
        used.output_tokens,
        used.cache_read_tokens,
        used.cache_write_tokens,
    ) == counted


def test_a_server_may_count_nothing() -> None:
    assert read().usage.tokens == 0
    uncounted = SimpleNamespace(input_tokens=None, output_tokens=None)
    assert read(end=ended(usage=uncounted)).usage.tokens == 0
