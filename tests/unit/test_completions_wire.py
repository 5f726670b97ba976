"""What goes to a server of the Chat Completions API, and what is read from its chunks."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.actors.models.model import Part
from layby.actors.models.openai_reader import Reader
from layby.actors.models.openai_wire import write_messages, write_request
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

PNG = b"\x89PNG\r\n"
LOOK = ToolSpec(name="look", description="Look it up", parameters={"type": "object"})


def user(*parts: Part) -> Message:
    return Message(role="user", parts=list(parts))


def assistant(*parts: Part) -> Message:
    return Message(role="assistant", parts=list(parts))


def call(id: str = "1", name: str = "look") -> ToolCall:  # noqa: A002
    return ToolCall(id=id, name=name, arguments={"of": "Zürich"})


def result(id: str = "1", *, is_error: bool = False) -> ToolResult:  # noqa: A002
    return ToolResult(id=id, name="look", content="it rains", is_error=is_error)


def test_instructions_come_first_and_only_if_there_are_any() -> None:
    asked = ModelRequest(system="Be kind", messages=[user(Text(text="Hi"))])
    assert write_request(asked) == {
        "messages": [{"role": "system", "content": "Be kind"}, {"role": "user", "content": "Hi"}]
    }
    assert write_request(ModelRequest(system="", messages=[user(Text(text="Hi"))])) == {
        "messages": [{"role": "user", "content": "Hi"}]
    }


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        ("auto", "auto"),
        ("any", "required"),
        ("none", "none"),
        ("look", {"type": "function", "function": {"name": "look"}}),
    ],
)
def test_the_choice_of_a_tool_in_the_words_of_the_api(choice: str, written: Any) -> None:
    fields = write_request(ModelRequest(system="", messages=[], tools=[LOOK], tool_choice=choice))
    assert fields["tool_choice"] == written


def test_a_tool_without_a_description_has_no_empty_one() -> None:
    bare = ToolSpec(name="bare", description="", parameters={"type": "object"})
    fields = write_request(ModelRequest(system="", messages=[], tools=[LOOK, bare]))
    described, plain = (tool["function"] for tool in fields["tools"])
    assert described["description"] == "Look it up"
    assert plain == {"name": "bare", "parameters": {"type": "object"}}


def test_results_follow_their_calls_before_what_the_user_says() -> None:
    said = [assistant(call()), user(Text(text="And?"), result(is_error=True))]
    asks, tool, text = write_messages(said)
    assert asks["content"] is None
    assert json.loads(asks["tool_calls"][0]["function"]["arguments"]) == {"of": "Zürich"}
    assert "Zürich" in asks["tool_calls"][0]["function"]["arguments"]
    assert tool == {"role": "tool", "tool_call_id": "1", "content": "Error: it rains"}
    assert text == {"role": "user", "content": "And?"}


def test_a_result_without_an_error_is_sent_as_it_is() -> None:
    assert write_messages([user(result())]) == [
        {"role": "tool", "tool_call_id": "1", "content": "it rains"}
    ]


def test_messages_of_one_side_become_one_text() -> None:
    """Servers of small models accept text only, and turns that alternate."""
    said = [user(Text(text="a"), Text(text=" ")), user(Text(text="b")), assistant(Text(text="c"))]
    assert write_messages(said) == [
        {"role": "user", "content": "a\n\nb"},
        {"role": "assistant", "content": "c"},
    ]


def test_text_next_to_an_image_stays_a_block_of_its_own() -> None:
    (message,) = write_messages([user(Text(text="See"), Image(url="https://a.test/i.png"))])
    assert message["content"] == [
        {"type": "text", "text": "See"},
        {"type": "image_url", "image_url": {"url": "https://a.test/i.png"}},
    ]


def test_an_image_of_bytes_becomes_a_data_url() -> None:
    (message,) = write_messages([user(Image(data=PNG))])
    assert message["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    ("document", "block"),
    [
        (
            Document(data=b"a,b", media_type="text/csv", name="t.csv"),
            "[t.csv]\na,b",
        ),
        (Document(data=b"{}", media_type="application/json"), "[document]\n{}"),
    ],
)
def test_a_text_document_is_sent_as_text_under_its_name(document: Document, block: str) -> None:
    assert write_messages([user(document)]) == [{"role": "user", "content": block}]


@pytest.mark.parametrize(("name", "sent"), [("bill.pdf", "bill.pdf"), ("", "document.pdf")])
def test_a_pdf_is_sent_as_a_file_that_always_has_a_name(name: str, sent: str) -> None:
    (message,) = write_messages([user(Document(data=b"%PDF-1", name=name))])
    (block,) = message["content"]
    assert (block["type"], block["file"]["filename"]) == ("file", sent)
    assert block["file"]["file_data"].startswith("data:application/pdf;base64,")


def test_a_document_that_the_api_would_have_to_fetch_is_a_bad_request() -> None:
    with pytest.raises(ModelError, match=r"send https://a\.test/b\.pdf as data=") as failed:
        write_messages([user(Document(url="https://a.test/b.pdf"))])
    assert failed.value.bad_request
    assert not failed.value.retryable


def test_a_thought_signature_goes_back_with_its_own_call_only() -> None:
    kept = Opaque(provider="openai", data={"type": "tool_call_extra", "id": "1", "extra": {"g": 1}})
    other = Opaque(provider="else", data={"type": "tool_call_extra", "id": "2", "extra": {"g": 2}})
    (message,) = write_messages([assistant(kept, other, call("1"), call("2"))])
    first, second = message["tool_calls"]
    assert first["extra_content"] == {"g": 1}
    assert "extra_content" not in second


def test_what_only_people_read_is_never_sent_back() -> None:
    refusal = Opaque(provider="openai", data={"type": "refusal", "refusal": "no"})
    assert write_messages([assistant(refusal, Text(text=" "))]) == []


# -- reading ---------------------------------------------------------------------------------------


def chunk(
    content: str | None = None,
    *,
    calls: list[Any] | None = None,
    finish: str | None = None,
    refusal: str | None = None,
    model: str = "",
    usage: Any = None,
) -> Any:
    delta = SimpleNamespace(content=content, tool_calls=calls, refusal=refusal)
    choice = SimpleNamespace(delta=delta, finish_reason=finish)
    return SimpleNamespace(model=model, usage=usage, choices=[choice])


def piece(
    index: int | None,
    id: str | None = None,  # noqa: A002
    name: str | None = None,
    arguments: str | None = None,
    **more: Any,
) -> Any:
    function = SimpleNamespace(name=name, arguments=arguments)
    return SimpleNamespace(index=index, id=id, function=function, **more)


def counted(prompt: int | None, completion: int | None, details: Any = None) -> Any:
    return SimpleNamespace(
        prompt_tokens=prompt, completion_tokens=completion, prompt_tokens_details=details
    )


def read(*chunks: Any) -> ModelResponse:
    reader = Reader("m-1")
    for each in chunks:
        reader.take(each)
    return reader.response()


@given(st.lists(st.text()), st.data())
def test_text_is_the_same_however_it_is_cut(pieces: list[str], data: st.DataObject) -> None:
    reader = Reader("m-1")
    heard = [
        reader.take(chunk(each, model=data.draw(st.sampled_from(["", "m-2"])))) for each in pieces
    ]
    assert heard == pieces
    assert reader.response().message.text == "".join(pieces)


def test_a_response_is_complete_once_the_server_says_why_it_ended() -> None:
    reader = Reader("m-1")
    reader.take(chunk("Hi"))
    assert not reader.complete
    reader.take(chunk(finish="stop"))
    reader.take(chunk())
    assert reader.complete
    assert reader.problem is None


def test_chunks_without_content_are_skipped() -> None:
    empty = SimpleNamespace(model="", usage=None, choices=[])
    bare = SimpleNamespace(
        model="", usage=None, choices=[SimpleNamespace(delta=None, finish_reason="length")]
    )
    response = read(empty, chunk("Hi"), bare)
    assert (response.message.text, response.stop_reason) == ("Hi", "max_tokens")


def test_the_model_is_the_one_that_the_server_names() -> None:
    assert read(chunk("Hi", model="m-1-2025")).model == "m-1-2025"
    assert read(chunk("Hi")).model == "m-1"


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("stop", "end"),
        ("length", "max_tokens"),
        ("content_filter", "refusal"),
        ("tool_calls", "end"),  # no call came
        ("something new", "end"),
        (None, "end"),
    ],
)
def test_why_a_response_without_calls_ended(finish: str | None, reason: str) -> None:
    assert read(chunk("Hi", finish=finish)).stop_reason == reason


@pytest.mark.parametrize("finish", ["tool_calls", "function_call", "stop"])
def test_a_call_in_pieces_is_put_together(finish: str) -> None:
    response = read(
        chunk(calls=[piece(0, "c1", "look", '{"a"')]),
        chunk(calls=[piece(0, None, None, ": 1}")]),
        chunk(calls=[SimpleNamespace(index=0, id=None, function=None)]),
        chunk(finish=finish),
    )
    assert response.message.tool_calls == [ToolCall(id="c1", name="look", arguments={"a": 1})]
    assert response.stop_reason == "tool_use"


@pytest.mark.parametrize("indexes", [(0, 0), (None, None), (0, 1), (3, 7)])
def test_two_calls_stay_apart_however_the_server_numbers_them(
    indexes: tuple[int | None, int | None],
) -> None:
    first, second = indexes
    response = read(
        chunk(calls=[piece(first, "c1", "look", '{"a": 1}')]),
        chunk(calls=[piece(second, "c2", "find", '{"b": 2}')]),
    )
    assert [(c.id, c.name, c.arguments) for c in response.message.tool_calls] == [
        ("c1", "look", {"a": 1}),
        ("c2", "find", {"b": 2}),
    ]


def test_a_call_without_an_id_gets_one_of_its_own() -> None:
    response = read(chunk(calls=[piece(0, None, "a", ""), piece(1, None, "b", None)]))
    one, two = response.message.tool_calls
    assert one.id != two.id
    assert one.id.startswith("call_")
    assert one.arguments == two.arguments == {}


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_a_response_that_was_cut_short_loses_its_calls(finish: str) -> None:
    response = read(chunk("Wait", calls=[piece(0, "c1", "look", '{"a"')], finish=finish))
    assert response.message.parts == [Text(text="Wait")]


def test_a_refusal_is_kept_for_people_and_its_calls_do_not_run() -> None:
    calls = [piece(0, "c1", "look", "{}")]
    response = read(chunk(refusal="I can", calls=calls), chunk(refusal="not", finish="stop"))
    assert response.stop_reason == "refusal"
    assert response.message.tool_calls == []
    (kept,) = response.message.parts
    assert isinstance(kept, Opaque)
    assert kept.data["refusal"] == "I cannot"


@pytest.mark.parametrize("arguments", ["[1]", "7", "null", '{"a":', "'a'"])
def test_arguments_that_are_no_object_may_be_asked_for_again(arguments: str) -> None:
    with pytest.raises(ModelError, match="m-1 called look with arguments that are not") as failed:
        read(chunk(calls=[piece(0, "c1", "look", arguments)]))
    assert failed.value.retryable
    assert arguments[:3] in str(failed.value)


def test_a_message_about_bad_arguments_stays_short() -> None:
    with pytest.raises(ModelError) as failed:
        read(chunk(calls=[piece(0, "c1", "look", "x" * 5000)]))
    assert "x" * 200 in str(failed.value)
    assert "x" * 201 not in str(failed.value)


def test_a_thought_signature_survives_the_way_to_the_log_and_back() -> None:
    extra = {"google": {"thought_signature": "sig"}}
    response = read(
        chunk(calls=[piece(0, "c1", "look", "{}", extra_content=extra)]),
        chunk(calls=[piece(0, None, None, "", extra_content=None)]),
    )
    (message,) = write_messages([response.message])
    assert message["tool_calls"][0]["extra_content"] == extra


@pytest.mark.parametrize(
    ("usage", "read_as"),
    [
        (counted(10, 5), (10, 5, 0)),
        (counted(10, 5, SimpleNamespace(cached_tokens=4)), (6, 5, 4)),
        (counted(10, 5, SimpleNamespace(cached_tokens=None)), (10, 5, 0)),
        (counted(10, 5, SimpleNamespace()), (10, 5, 0)),
        (counted(3, 5, SimpleNamespace(cached_tokens=4)), (0, 5, 4)),  # a server's miscount
        (counted(None, None), (0, 0, 0)),
    ],
)
def test_no_token_is_counted_twice(usage: Any, read_as: tuple[int, int, int]) -> None:
    found = read(chunk("Hi", usage=usage), chunk(finish="stop")).usage
    assert (found.input_tokens, found.output_tokens, found.cache_read_tokens) == read_as
