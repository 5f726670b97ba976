"""The OpenAI model through OpenAI's real SDK, over real HTTP to a scripted server."""

from __future__ import annotations

import asyncio
import importlib
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
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
from layby.runtime.errors import InvalidSetup, LaybyError
from tests.fix_completions import CompletionsApi, Reply, call

KEY = "sk-test-hunter2"
MODEL = "gpt-5.2"
SEARCH = ToolSpec(name="search", description="Search.", parameters={"type": "object"})
REPLY = ToolSpec(name="reply", description="", parameters={"type": "object"})

Make = Callable[..., OpenAIModel]


@pytest.fixture
async def make(completions_api: CompletionsApi) -> AsyncIterator[Make]:
    """Makes models that talk to the scripted server."""
    made: list[OpenAIModel] = []

    def _make(**options: Any) -> OpenAIModel:
        settings: dict[str, Any] = {"api_key": KEY, "base_url": completions_api.url, **options}
        made.append(openai(MODEL, **settings))
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


# -- requests


async def test_a_complete_request(make: Make, completions_api: CompletionsApi) -> None:
    completions_api.reply("Hello")
    await make().respond(ask(user("Hi"), tools=[SEARCH, REPLY], tool_choice="any"))
    (request,) = completions_api.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    search = {"name": "search", "description": "Search.", "parameters": {"type": "object"}}
    reply = {"name": "reply", "parameters": {"type": "object"}}
    assert request.body == {
        "model": MODEL,
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
        ],
        "tools": [
            {"type": "function", "function": search},
            {"type": "function", "function": reply},
        ],
        "tool_choice": "required",
    }


async def test_a_minimal_request(make: Make, completions_api: CompletionsApi) -> None:
    completions_api.reply("Hello")
    await make().respond(ask(system=""))
    assert set(completions_api.last) == {"model", "messages", "stream", "stream_options"}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", "auto"),
        ("any", "required"),
        ("none", "none"),
        ("search", {"type": "function", "function": {"name": "search"}}),
    ],
)
async def test_tool_choice(
    make: Make, completions_api: CompletionsApi, choice: str, sent: Any
) -> None:
    completions_api.reply("Hello")
    await make().respond(ask(tools=[SEARCH], tool_choice=choice))
    assert completions_api.last["tool_choice"] == sent


async def test_turns_alternate_and_results_follow_their_calls(
    make: Make, completions_api: CompletionsApi
) -> None:
    completions_api.reply("Hello")
    await make().respond(
        ask(
            user("Hi"),
            user("again"),
            assistant(" \n", ToolCall(id="1", name="search", arguments={"q": "\u00e9"})),
            assistant(ToolCall(id="2", name="search", arguments={})),
            user("By the way", ToolResult(id="1", name="search", content="found")),
            user(ToolResult(id="2", name="search", content="no", is_error=True), "go on"),
            assistant(""),
            user("?"),
            system="",
        )
    )

    def written(id: str, arguments: str) -> dict[str, Any]:  # noqa: A002
        function = {"name": "search", "arguments": arguments}
        return {"id": id, "type": "function", "function": function}

    assert completions_api.last["messages"] == [
        {"role": "user", "content": "Hi\n\nagain"},
        {
            "role": "assistant",
            "content": " \n",
            "tool_calls": [written("1", '{"q": "\u00e9"}'), written("2", "{}")],
        },
        {"role": "tool", "tool_call_id": "1", "content": "found"},
        {"role": "tool", "tool_call_id": "2", "content": "Error: no"},
        {"role": "user", "content": "By the way\n\ngo on"},
        {"role": "user", "content": "?"},
    ]


async def test_images_and_documents(make: Make, completions_api: CompletionsApi) -> None:
    completions_api.reply("Hello")
    png = Image(data=b"\x89PNG\r\n\x1a\n")
    linked = Image(url="https://example.com/a.jpg")
    pdf = Document(data=b"%PDF-1.7", name="terms.pdf")
    note = Document(data=b"Be kind.", media_type="text/markdown", name="note.md")
    await make().respond(ask(user("Look", png, linked, pdf, note), system=""))
    [message] = completions_api.last["messages"]
    assert message["content"] == [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.jpg"}},
        {
            "type": "file",
            "file": {
                "filename": "terms.pdf",
                "file_data": "data:application/pdf;base64,JVBERi0xLjc=",
            },
        },
        {"type": "text", "text": "[note.md]\nBe kind."},
    ]


async def test_a_document_url_is_refused(make: Make) -> None:
    linked = Document(url="https://example.com/a.pdf")
    with pytest.raises(ModelError, match=r"send https://example\.com/a\.pdf as data=") as caught:
        await make().respond(ask(user(linked)))
    assert (caught.value.retryable, caught.value.bad_request) == (False, True)


@pytest.mark.parametrize(
    ("base_url", "field"),
    [
        (None, "max_completion_tokens"),
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://mine.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("http://localhost:11434/v1", "max_tokens"),
    ],
)
def test_each_server_gets_the_limit_by_the_name_it_knows(
    base_url: str | None, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    sdk: Any = pytest.importorskip("openai")
    client = sdk.AsyncOpenAI(api_key=KEY)
    model = openai(MODEL, base_url=base_url, max_tokens=100)
    params = model._params(ask(), client)  # pyright: ignore[reportPrivateUsage]
    assert params[field] == 100
    assert model._params(ask(max_tokens=7), client)[field] == 7  # pyright: ignore[reportPrivateUsage]


async def test_settings_reach_the_request(make: Make, completions_api: CompletionsApi) -> None:
    completions_api.reply("Hello")
    extra = {"reasoning_effort": "low", "not_in_the_sdk": 1, "extra_body": {"nor_this": 2}}
    await make(extra=extra).respond(ask())
    sent = completions_api.last
    assert (sent["reasoning_effort"], sent["not_in_the_sdk"], sent["nor_this"]) == ("low", 1, 2)


# -- responses


async def test_text_arrives_in_pieces_and_nothing_is_counted_twice(
    make: Make, completions_api: CompletionsApi
) -> None:
    usage = {"prompt_tokens": 310, "prompt_tokens_details": {"cached_tokens": 300}}
    completions_api.reply("Hello, world", usage=usage)
    heard: list[str] = []
    response = await make().respond(ask(), heard.append)
    assert heard == ["Hello", ", wor", "ld"]
    assert response == ModelResponse(
        message=assistant("Hello, world"),
        stop_reason="end",
        usage=Usage(input_tokens=10, output_tokens=20, cache_read_tokens=300),
        model=MODEL,
    )


async def test_a_server_that_reports_no_usage(make: Make, completions_api: CompletionsApi) -> None:
    completions_api.reply("Hello", usage={})
    assert (await make().respond(ask())).usage == Usage()


async def test_parallel_tool_calls_keep_their_order(
    make: Make, completions_api: CompletionsApi
) -> None:
    completions_api.reply("Looking", call("search", {"q": "\u00e9"}), call("reply"))
    response = await make().respond(ask(tools=[SEARCH, REPLY]))
    assert response.stop_reason == "tool_use"
    assert response.message.parts == [
        Text(text="Looking"),
        ToolCall(id="call_search", name="search", arguments={"q": "\u00e9"}),
        ToolCall(id="call_reply", name="reply", arguments={}),
    ]


@pytest.mark.parametrize("index", [0, None])
async def test_calls_that_a_server_misnumbers(
    make: Make, completions_api: CompletionsApi, index: int | None
) -> None:
    first = {**call("search", ""), "id": "a", "index": index}
    second = {**call("reply", ""), "id": "b", "index": index}
    completions_api.reply("", first, second, finish="stop")
    response = await make().respond(ask(tools=[SEARCH, REPLY]))
    assert response.stop_reason == "tool_use"
    assert [(c.id, c.name) for c in response.message.tool_calls] == [
        ("a", "search"),
        ("b", "reply"),
    ]


async def test_a_call_without_an_id_gets_one(make: Make, completions_api: CompletionsApi) -> None:
    completions_api.reply("", {**call("search"), "id": None})
    [made] = (await make().respond(ask(tools=[SEARCH]))).message.tool_calls
    assert made.id.startswith("call_")


async def test_extra_data_of_a_call_goes_back_even_from_the_log(
    make: Make, completions_api: CompletionsApi
) -> None:
    extra = {"google": {"thought_signature": "c2ln"}}
    completions_api.reply("", call("search", {"q": 1}, extra_content=extra))
    completions_api.reply("Done")
    model = make()
    first = await model.respond(ask(user("Hi"), tools=[SEARCH]))
    recorded = msgspec.json.decode(msgspec.json.encode(first), type=ModelResponse)
    assert recorded == first
    result = ToolResult(id="call_search", name="search", content="found")
    await model.respond(ask(user("Hi"), recorded.message, user(result), tools=[SEARCH]))
    sent = completions_api.last["messages"][2]["tool_calls"]
    assert sent == [call("search", {"q": 1}, extra_content=extra)]


async def test_blocks_of_another_provider_are_not_sent(
    make: Make, completions_api: CompletionsApi
) -> None:
    completions_api.reply("Hello")
    thought = Opaque(provider="anthropic", data={"type": "thinking"})
    await make().respond(ask(user("Hi"), assistant(thought), user("?"), system=""))
    assert completions_api.last["messages"] == [
        {"role": "user", "content": "Hi"},
        {"role": "user", "content": "?"},
    ]


@pytest.mark.parametrize(
    ("finish", "meant"),
    [
        ("stop", "end"),
        ("length", "max_tokens"),
        ("content_filter", "refusal"),
        ("tool_calls", "end"),
        ("eos_token", "end"),
    ],
)
async def test_all_finish_reasons(
    make: Make, completions_api: CompletionsApi, finish: str, meant: str
) -> None:
    completions_api.reply("Hello", finish=finish)
    assert (await make().respond(ask())).stop_reason == meant


async def test_a_call_cut_by_the_limit_is_not_made(
    make: Make, completions_api: CompletionsApi
) -> None:
    completions_api.reply("So", call("delete", '{"path": "/imp'), finish="length")
    response = await make().respond(ask(tools=[SEARCH]))
    assert response.message.parts == [Text(text="So")]


async def test_a_refusal_is_a_response_with_its_reason(
    make: Make, completions_api: CompletionsApi
) -> None:
    completions_api.reply("I", refusal="No.")
    response = await make().respond(ask())
    assert response.stop_reason == "refusal"
    seen = Opaque(provider="openai", data={"type": "refusal", "refusal": "No."})
    assert response.message.parts == [Text(text="I"), seen]


# -- failures


async def failure(model: Model) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await model.respond(ask())
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  our own
    assert (str(copy), vars(copy)) == (str(caught.value), vars(caught.value))
    return caught.value


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
async def test_a_temporary_error_is_retryable_but_not_retried_here(
    make: Make, completions_api: CompletionsApi, status: int
) -> None:
    completions_api.fail(status, "Later.", retry_after="3")
    error = await failure(make())
    assert (error.retryable, error.retry_after, error.bad_request) == (True, 3.0, False)
    assert "Later." in str(error)
    assert "req_test" in str(error)
    assert len(completions_api.requests) == 1


@pytest.mark.parametrize(
    ("status", "advice", "bad_request"),
    [
        (400, "refused the request to 'gpt-5.2': Wrong.", True),
        (401, "set OPENAI_API_KEY", False),
        (402, "billing", False),
        (403, "may not use 'gpt-5.2'", False),
        (404, "no model 'gpt-5.2'", False),
        (413, "shorter conversation", True),
        (422, "refused the request", True),
        (418, "status 418: Wrong.", False),
    ],
)
async def test_a_permanent_error_says_what_to_do(
    make: Make, completions_api: CompletionsApi, status: int, advice: str, *, bad_request: bool
) -> None:
    completions_api.fail(status, "Wrong.", retry_after="3")
    error = await failure(make())
    assert advice in str(error)
    assert (error.retryable, error.retry_after) == (False, None)
    assert error.bad_request is bad_request


async def test_an_account_without_quota_is_not_retried(
    make: Make, completions_api: CompletionsApi
) -> None:
    completions_api.fail(429, "You exceeded your quota.", code="insufficient_quota")
    error = await failure(make())
    assert "no quota left" in str(error)
    assert not error.retryable


@pytest.mark.parametrize("cut", ["hard", "soft", "error"])
@pytest.mark.parametrize("reply", [[""], ["Hello"], ["Hello", call("search", {"q": "abcdefgh"})]])
async def test_a_stream_cut_anywhere_is_not_a_response(
    make: Make, completions_api: CompletionsApi, cut: str, reply: list[Any]
) -> None:
    completions_api.reply(*reply, cut=cut)
    error = await failure(make())
    assert error.retryable
    assert "off" in str(error)


@pytest.mark.parametrize("body", ["<html>Bad gateway</html>", "[]", '"no"', '{"error": "no"}'])
async def test_a_proxys_answer_in_another_format(
    make: Make, completions_api: CompletionsApi, body: str
) -> None:
    completions_api.replies.append(Reply(status=502, body=body))
    assert (await failure(make())).retryable


async def test_malformed_arguments_are_retryable(
    make: Make, completions_api: CompletionsApi
) -> None:
    completions_api.reply("", call("search", '{"q": nonsense}'))
    error = await failure(make())
    assert error.retryable
    assert "not a JSON object" in str(error)


async def test_an_unreachable_server() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        model = openai(MODEL, base_url=f"http://127.0.0.1:{closed.getsockname()[1]}/v1")
        error = await failure(model)
    assert error.retryable
    assert "127.0.0.1 cannot be reached" in str(error)
    await model.aclose()


async def test_a_response_that_takes_too_long(make: Make, completions_api: CompletionsApi) -> None:
    hold = threading.Event()
    completions_api.reply("Hello", until=hold)
    try:
        error = await failure(make(timeout="300ms"))
    finally:
        hold.set()
    assert error.retryable


async def test_a_listeners_error_stays_as_it_is(
    make: Make, completions_api: CompletionsApi
) -> None:
    def listen(_: str) -> None:
        raise TimeoutError("mine")

    completions_api.reply("Hello")
    with pytest.raises(TimeoutError, match="mine"):
        await make().respond(ask(), listen)


async def test_a_missing_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OPENAI_")]:
        monkeypatch.delenv(name)
    error = await failure(openai(MODEL))
    assert "there is no API key: set OPENAI_API_KEY" in str(error)
    assert not error.retryable


async def test_your_own_server_needs_no_key(
    completions_api: CompletionsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    completions_api.reply("Hello")
    model = openai("llama4", base_url=completions_api.url)
    assert (await model.respond(ask())).message.text == "Hello"
    await model.aclose()


async def test_the_key_and_the_url_from_the_environment(
    completions_api: CompletionsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", completions_api.url)
    completions_api.fail(401, f"Incorrect API key provided: {KEY}")
    model = openai(MODEL)
    error = await failure(model)
    assert "Incorrect API key provided: **********" in str(error)
    await model.aclose()


async def test_a_key_with_a_line_break_is_not_repeated(make: Make) -> None:
    error = await failure(make(api_key=f"{KEY}\n"))
    assert "check the API key for line breaks" in str(error)
    assert not error.retryable


async def test_a_bad_base_url(make: Make) -> None:
    error = await failure(make(base_url="localhost:1234"))
    assert "check base_url" in str(error)
    assert not error.retryable


async def test_without_the_sdk_it_says_what_to_install(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: str) -> None:
        raise ImportError

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(InvalidSetup, match=r"pip install -e .*\[openai\]'"):
        await make().respond(ask())


# -- the model object


def test_it_is_a_model_and_hides_its_key() -> None:
    model = openai(MODEL, api_key=KEY)
    assert isinstance(model, Model)
    assert model.name == MODEL
    assert repr(model) == "openai('gpt-5.2')"
    assert KEY not in f"{model} {model!r}"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"extra": {"tools": [], "model": "x"}}, "extra must not contain model, tools"),
        ({"max_tokens": 0}, "max_tokens=0"),
        ({"timeout": 0}, "more than zero"),
    ],
)
def test_bad_settings_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(LaybyError, match=said):
        openai(MODEL, **options)


async def test_many_tasks_share_one_client(make: Make, completions_api: CompletionsApi) -> None:
    model = make()
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            completions_api.reply("Hello")
            group.create_task(model.respond(ask()))
    assert len(completions_api.requests) == 5
    assert len(model._clients) == 1  # pyright: ignore[reportPrivateUsage]


def test_the_sdks_are_not_loaded_before_they_are_needed() -> None:
    code = (
        "import sys; from layby.models import openai, pydantic_ai; openai('x'); pydantic_ai('x:y');"
        "print(sorted({'openai', 'pydantic_ai', 'httpx', 'httpx2'} & set(sys.modules)))"
    )
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
