"""The Responses API through OpenAI's real SDK, over real HTTP to a scripted server."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from layby.actors.models.openai import OpenAIModel
from layby.models import (
    Document,
    Image,
    Message,
    Model,
    ModelError,
    ModelRequest,
    ModelResponse,
    Opaque,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
    openai,
)
from layby.runtime.errors import InvalidSetup
from tests.fix_completions import CompletionsApi, call
from tests.fix_responses import thought

KEY = "sk-test-hunter2"
MODEL = "gpt-5.2"
SEARCH = ToolSpec(name="search", description="Search.", parameters={"type": "object"})
REPLY = ToolSpec(name="reply", description="", parameters={"type": "object"})

Make = Callable[..., OpenAIModel]


@pytest.fixture
async def make(responses_api: CompletionsApi) -> AsyncIterator[Make]:
    """Makes models that talk to the scripted server."""
    made: list[OpenAIModel] = []

    def _make(**options: Any) -> OpenAIModel:
        settings: dict[str, Any] = {"api_key": KEY, "api": "responses", **options}
        made.append(openai(MODEL, base_url=responses_api.url, **settings))
        return made[-1]

    yield _make
    for model in made:
        await model.aclose()


def user(*parts: Any) -> Message:
    return Message(role="user", parts=[Text(text=p) if isinstance(p, str) else p for p in parts])


def assistant(*parts: Any) -> Message:
    return Message(
        role="assistant", parts=[Text(text=p) if isinstance(p, str) else p for p in parts]
    )


def ask(*messages: Message, **options: Any) -> ModelRequest:
    settings: dict[str, Any] = {"system": "Be brief.", **options}
    return ModelRequest(messages=list(messages) or [user("Hi")], **settings)


def said(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "input_text", "text": text}]}


# -- requests


async def test_a_complete_request(make: Make, responses_api: CompletionsApi) -> None:
    responses_api.reply("Hello")
    await make(max_tokens=100).respond(ask(tools=[SEARCH, REPLY], tool_choice="any"))
    (request,) = responses_api.requests
    assert request.path == "/v1/responses"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    function = {"type": "function", "parameters": {"type": "object"}, "strict": False}
    assert request.body == {
        "model": MODEL,
        "stream": True,
        "store": False,
        "instructions": "Be brief.",
        "input": [said("Hi")],
        "max_output_tokens": 100,
        "tools": [
            {**function, "name": "search", "description": "Search."},
            {**function, "name": "reply"},
        ],
        "tool_choice": "required",
    }


async def test_a_minimal_request(make: Make, responses_api: CompletionsApi) -> None:
    responses_api.reply("Hello")
    await make().respond(ask(system="", max_tokens=7))
    assert responses_api.last == {
        "model": MODEL,
        "stream": True,
        "store": False,
        "input": [said("Hi")],
        "max_output_tokens": 7,
    }


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", "auto"),
        ("any", "required"),
        ("none", "none"),
        ("search", {"type": "function", "name": "search"}),
    ],
)
async def test_tool_choice(
    make: Make, responses_api: CompletionsApi, choice: str, sent: Any
) -> None:
    responses_api.reply("Hello")
    await make().respond(ask(tools=[SEARCH], tool_choice=choice))
    assert responses_api.last["tool_choice"] == sent


async def test_a_conversation_is_a_list_of_items(make: Make, responses_api: CompletionsApi) -> None:
    responses_api.reply("Hello")
    await make().respond(
        ask(
            user("Hi"),
            assistant("Looking", ToolCall(id="1", name="search", arguments={"q": "\u00e9"})),
            user("By the way", ToolResult(id="1", name="search", content="no", is_error=True)),
            assistant(" \n"),
            user("", "?"),
        )
    )
    assert responses_api.last["input"] == [
        said("Hi"),
        {"role": "assistant", "content": "Looking"},
        {
            "type": "function_call",
            "call_id": "1",
            "name": "search",
            "arguments": '{"q": "\u00e9"}',
        },
        {"type": "function_call_output", "call_id": "1", "output": "Error: no"},
        said("By the way"),
        said("?"),
    ]


async def test_images_and_documents(make: Make, responses_api: CompletionsApi) -> None:
    responses_api.reply("Hello")
    png = Image(data=b"\x89PNG\r\n\x1a\n")
    linked = Image(url="https://example.com/a.jpg")
    pdf = Document(data=b"%PDF-1.7", name="terms.pdf")
    far = Document(url="https://example.com/a.pdf")
    note = Document(data=b"Be kind.", media_type="text/markdown", name="note.md")
    await make().respond(ask(user("Look", png, linked, pdf, far, note)))
    [message] = responses_api.last["input"]
    picture = {"type": "input_image", "detail": "auto"}
    assert message["content"] == [
        {"type": "input_text", "text": "Look"},
        {**picture, "image_url": "data:image/png;base64,iVBORw0KGgo="},
        {**picture, "image_url": "https://example.com/a.jpg"},
        {
            "type": "input_file",
            "filename": "terms.pdf",
            "file_data": "data:application/pdf;base64,JVBERi0xLjc=",
        },
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        {"type": "input_text", "text": "[note.md]\nBe kind."},
    ]


async def test_settings_reach_the_request(make: Make, responses_api: CompletionsApi) -> None:
    responses_api.reply("Hello")
    extra = {
        "reasoning": {"effort": "low"},
        "tools": [{"type": "web_search"}],
        "store": True,
        "not_in_the_sdk": 1,
    }
    await make(extra=extra).respond(ask(tools=[SEARCH]))
    sent = responses_api.last
    assert (sent["reasoning"], sent["store"], sent["not_in_the_sdk"]) == (
        {"effort": "low"},
        True,
        1,
    )
    assert [tool["type"] for tool in sent["tools"]] == ["function", "web_search"]


# -- responses


async def test_text_arrives_in_pieces_and_nothing_is_counted_twice(
    make: Make, responses_api: CompletionsApi
) -> None:
    details = {"cached_tokens": 250, "cache_write_tokens": 50}
    usage = {"input_tokens": 310, "input_tokens_details": details}
    responses_api.reply("Hello, world", usage=usage)
    heard: list[str] = []
    response = await make().respond(ask(), heard.append)
    assert heard == ["Hello", ", wor", "ld"]
    assert response == ModelResponse(
        message=assistant("Hello, world"),
        stop_reason="end",
        usage=Usage(
            input_tokens=10, output_tokens=20, cache_read_tokens=250, cache_write_tokens=50
        ),
        model=MODEL,
    )


async def test_a_server_that_reports_no_usage(make: Make, responses_api: CompletionsApi) -> None:
    responses_api.reply("Hello", usage={})
    assert (await make().respond(ask())).usage == Usage()


async def test_reasoning_and_calls_come_back_in_order_even_from_the_log(
    make: Make, responses_api: CompletionsApi
) -> None:
    calls = [call("search", {"q": "\u00e9"}), call("reply")]
    responses_api.reply("Looking", *calls, items=[thought()], phase="commentary")
    responses_api.reply("Done")
    model = make()
    first = await model.respond(ask(user("Hi"), tools=[SEARCH, REPLY]))
    assert first.stop_reason == "tool_use"
    assert [c.id for c in first.message.tool_calls] == ["call_search", "call_reply"]
    recorded = msgspec.json.decode(msgspec.json.encode(first), type=ModelResponse)
    assert recorded == first
    results = [ToolResult(id=c.id, name=c.name, content="x") for c in first.message.tool_calls]
    await model.respond(ask(user("Hi"), recorded.message, user(*results), tools=[SEARCH, REPLY]))
    sealed = {key: value for key, value in thought().items() if key != "status"}
    assert responses_api.last["input"] == [
        said("Hi"),
        sealed,
        {"role": "assistant", "content": "Looking", "phase": "commentary"},
        {
            "type": "function_call",
            "call_id": "call_search",
            "name": "search",
            "arguments": '{"q": "\u00e9"}',
        },
        {"type": "function_call", "call_id": "call_reply", "name": "reply", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_search", "output": "x"},
        {"type": "function_call_output", "call_id": "call_reply", "output": "x"},
    ]


@pytest.mark.parametrize(
    ("said_before", "sent"),
    [
        ([thought(sealed=None), "So"], ["message"]),  # nobody has kept it
        ([thought()], []),  # nothing came of it
        (["So", thought()], ["message"]),
        ([thought("rs_1"), thought("rs_2"), "So"], ["reasoning", "reasoning", "message"]),
        ([{"type": "web_search_call", "id": "ws_1"}, "So"], ["web_search_call", "message"]),
    ],
)
async def test_only_reasoning_that_the_api_accepts_goes_back(
    make: Make, responses_api: CompletionsApi, said_before: list[Any], sent: list[str]
) -> None:
    responses_api.reply("Hello")
    parts = [
        part if part == "So" else Opaque(provider="openai-responses", data=part)
        for part in said_before
    ]
    await make().respond(ask(user("Hi"), assistant(*parts), user("?")))
    [_, *between, _] = responses_api.last["input"]
    assert [item.get("type", "message") for item in between] == sent


async def test_a_server_that_stores_responses_knows_its_reasoning(
    make: Make, responses_api: CompletionsApi
) -> None:
    responses_api.reply("Hello")
    seen = Opaque(provider="openai-responses", data=thought(sealed=None))
    await make(extra={"store": True}).respond(ask(user("Hi"), assistant(seen, "So"), user("?")))
    assert [item.get("id") for item in responses_api.last["input"]] == [None, "rs_1", None, None]


async def test_blocks_of_another_provider_are_not_sent(
    make: Make, responses_api: CompletionsApi
) -> None:
    responses_api.reply("Hello")
    others = [Opaque(provider=name, data={"type": "reasoning"}) for name in ("anthropic", "openai")]
    await make().respond(ask(user("Hi"), assistant(*others), user("?")))
    assert responses_api.last["input"] == [said("Hi"), said("?")]


@pytest.mark.parametrize(
    ("reason", "meant"),
    [
        ("max_output_tokens", "max_tokens"),
        ("content_filter", "refusal"),
        ("something_new", "max_tokens"),
    ],
)
async def test_a_response_that_was_cut_short_makes_no_call(
    make: Make, responses_api: CompletionsApi, reason: str, meant: str
) -> None:
    half = call("delete", '{"path": "/imp')
    responses_api.reply("So", half, finish=reason, items=[thought()])
    response = await make().respond(ask(tools=[SEARCH]))
    assert (response.stop_reason, response.message.parts) == (meant, [Text(text="So")])


async def test_a_refusal_is_a_response_with_its_reason(
    make: Make, responses_api: CompletionsApi
) -> None:
    responses_api.reply("I", refusal="No.")
    responses_api.reply("Hello")
    model = make()
    response = await model.respond(ask())
    assert response.stop_reason == "refusal"
    shown = Opaque(provider="openai-responses", data={"type": "refusal", "refusal": "No."})
    assert response.message.parts == [Text(text="I"), shown]
    await model.respond(ask(user("Hi"), response.message, user("?")))
    assert responses_api.last["input"][1] == {"role": "assistant", "content": "I"}


# -- failures


async def failure(model: Model) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await model.respond(ask())
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None
    return caught.value


async def test_a_temporary_error_is_retryable_but_not_retried_here(
    make: Make, responses_api: CompletionsApi
) -> None:
    responses_api.fail(429, "Later.", retry_after="3")
    error = await failure(make())
    assert (error.retryable, error.retry_after) == (True, 3.0)
    assert len(responses_api.requests) == 1


@pytest.mark.parametrize(
    ("code", "retryable", "bad_request", "advice"),
    [
        ("server_error", True, False, "broke off the response"),
        ("rate_limit_exceeded", True, False, "It went wrong."),
        ("invalid_prompt", False, True, "It went wrong."),
        ("insufficient_quota", False, False, "no quota left"),
        ("something_new", True, False, "It went wrong."),
    ],
)
async def test_a_response_that_failed(
    make: Make,
    responses_api: CompletionsApi,
    code: str,
    advice: str,
    *,
    retryable: bool,
    bad_request: bool,
) -> None:
    responses_api.reply("Hel", finish=f"failed:{code}")
    error = await failure(make())
    assert (error.retryable, error.bad_request) == (retryable, bad_request)
    assert advice in str(error)


@pytest.mark.parametrize("cut", ["hard", "soft", "error"])
@pytest.mark.parametrize("reply", [[""], ["Hello"], ["Hello", call("search", {"q": "abcdefgh"})]])
async def test_a_stream_cut_anywhere_is_not_a_response(
    make: Make, responses_api: CompletionsApi, cut: str, reply: list[Any]
) -> None:
    responses_api.reply(*reply, cut=cut)
    error = await failure(make())
    assert error.retryable
    assert "off" in str(error)


async def test_malformed_arguments_are_retryable(make: Make, responses_api: CompletionsApi) -> None:
    responses_api.reply("", call("search", '{"q": nonsense}'))
    error = await failure(make())
    assert error.retryable
    assert "not a JSON object" in str(error)


async def test_an_unreachable_server() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        model = openai(MODEL, base_url=url, api="responses")
        error = await failure(model)
    assert error.retryable
    await model.aclose()


async def test_a_response_that_takes_too_long(make: Make, responses_api: CompletionsApi) -> None:
    hold = threading.Event()
    responses_api.reply("Hello", until=hold)
    try:
        error = await failure(make(timeout="300ms"))
    finally:
        hold.set()
    assert error.retryable


# -- the model object


def test_it_is_a_model_and_hides_its_key() -> None:
    model = openai(MODEL, api_key=KEY, api="responses")
    assert isinstance(model, Model)
    assert model.name == MODEL
    assert repr(model) == "openai('gpt-5.2', api='responses')"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"extra": {"input": [], "previous_response_id": "x"}},
            "contain input, previous_response_id",
        ),
        ({"api": "assistants"}, "give 'chat' or 'responses'"),
    ],
)
def test_bad_settings_are_refused(options: dict[str, Any], said: str) -> None:
    settings: dict[str, Any] = {"api": "responses", **options}
    with pytest.raises(InvalidSetup, match=said):
        openai(MODEL, **settings)
