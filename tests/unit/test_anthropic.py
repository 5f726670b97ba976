"""The Anthropic model through Anthropic's real SDK, over real HTTP to a scripted server."""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import Any

import msgspec
import pytest

from layby.actors.models.anthropic import AnthropicModel
from layby.actors.models.anthropic_wire import cached
from layby.models import (
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
    anthropic,
)
from layby.runtime.errors import LaybyError
from tests.fix_messages import MessagesApi, Reply, call, text

KEY = "sk-ant-test-hunter2"
MODEL = "claude-haiku-4-5"
SEARCH = ToolSpec(name="search", description="Search.", parameters={"type": "object"})
REPLY = ToolSpec(name="reply", description="", parameters={"type": "object"})
THOUGHT = {"type": "thinking", "thinking": "Let me see...", "signature": "c2ln"}

Make = Callable[..., AnthropicModel]


@pytest.fixture
async def make(messages_api: MessagesApi) -> AsyncIterator[Make]:
    """Makes models that talk to the scripted server."""
    made: list[AnthropicModel] = []

    def _make(**options: Any) -> AnthropicModel:
        settings: dict[str, Any] = {"api_key": KEY, "base_url": messages_api.url, **options}
        made.append(anthropic(MODEL, **settings))
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


async def test_a_complete_request(make: Make, messages_api: MessagesApi) -> None:
    messages_api.reply("Hello")
    await make().respond(ask(user("Hi"), tools=[SEARCH, REPLY], tool_choice="any"))
    (request,) = messages_api.requests
    assert request.path == "/v1/messages"
    assert KEY in f"{request.headers.get('authorization')} {request.headers.get('x-api-key')}"
    assert request.body == {
        "model": MODEL,
        "max_tokens": 4096,
        "stream": True,
        "cache_control": {"type": "ephemeral"},
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        "tools": [
            {"name": "search", "description": "Search.", "input_schema": {"type": "object"}},
            {"name": "reply", "input_schema": {"type": "object"}},
        ],
        "tool_choice": {"type": "any"},
    }


async def test_a_minimal_request(make: Make, messages_api: MessagesApi) -> None:
    messages_api.reply("Hello")
    await make(cache=False).respond(ask(user("Hi"), system="", max_tokens=7))
    assert set(messages_api.last) == {"model", "max_tokens", "messages", "stream"}
    assert messages_api.last["max_tokens"] == 7


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", {"type": "auto"}),
        ("any", {"type": "any"}),
        ("none", {"type": "none"}),
        ("search", {"type": "tool", "name": "search"}),
    ],
)
async def test_tool_choice(
    make: Make, messages_api: MessagesApi, choice: str, sent: dict[str, str]
) -> None:
    messages_api.reply("Hello")
    await make().respond(ask(tools=[SEARCH], tool_choice=choice))
    assert messages_api.last["tool_choice"] == sent


async def test_turns_alternate_and_results_come_first(
    make: Make, messages_api: MessagesApi
) -> None:
    messages_api.reply("Hello")
    await make().respond(
        ask(
            user("Hi"),
            user("again"),
            assistant(" \n", ToolCall(id="1", name="search", arguments={"q": 1})),
            assistant(ToolCall(id="2", name="search", arguments={})),
            user("By the way", ToolResult(id="1", name="search", content="found")),
            user(ToolResult(id="2", name="search", content="no", is_error=True), "go on"),
            assistant(""),
            user("?"),
        )
    )
    assert messages_api.last["messages"] == [
        {"role": "user", "content": [text("Hi"), text("again")]},
        {
            "role": "assistant",
            "content": [call("search", {"q": 1}, id="1"), call("search", id="2")],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "1", "content": "found"},
                {"type": "tool_result", "tool_use_id": "2", "content": "no", "is_error": True},
                text("By the way"),
                text("go on"),
                text("?"),
            ],
        },
    ]


async def test_settings_reach_the_request(make: Make, messages_api: MessagesApi) -> None:
    messages_api.reply("Hello")
    model = make(
        max_tokens=100,
        thinking={"type": "adaptive"},
        extra={"service_tier": "auto", "not_in_the_sdk": 1, "extra_body": {"nor_this": 2}},
    )
    await model.respond(ask())
    sent = messages_api.last
    assert (sent["max_tokens"], sent["thinking"]) == (100, {"type": "adaptive"})
    assert (sent["service_tier"], sent["not_in_the_sdk"], sent["nor_this"]) == ("auto", 1, 2)


def test_an_sdk_without_top_level_caching_marks_the_last_stable_block() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    system, tools = [text("a"), text("b")], [{"name": "x"}]
    both = cached({"system": system, "tools": tools}, top_level=False)
    assert both == {"system": [text("a"), {**text("b"), **mark}], "tools": tools}
    assert cached({"tools": tools}, top_level=False) == {"tools": [{"name": "x", **mark}]}
    assert cached({}, top_level=False) == {}
    assert system == [text("a"), text("b")]


# -- responses


async def test_text_arrives_in_pieces_and_usage_is_counted(
    make: Make, messages_api: MessagesApi
) -> None:
    usage = {"cache_read_input_tokens": 300, "cache_creation_input_tokens": 40}
    messages_api.reply("Hello, world", usage=usage)
    heard: list[str] = []
    response = await make().respond(ask(), heard.append)
    assert heard == ["Hello", ", wor", "ld"]
    assert response == ModelResponse(
        message=assistant("Hello, world"),
        stop_reason="end",
        usage=Usage(
            input_tokens=10, output_tokens=20, cache_read_tokens=300, cache_write_tokens=40
        ),
        model=MODEL,
    )


async def test_parallel_tool_calls_keep_their_order(make: Make, messages_api: MessagesApi) -> None:
    messages_api.reply("Looking", call("search", {"q": "\u00e9"}, id="1"), call("reply", id="2"))
    response = await make().respond(ask(tools=[SEARCH, REPLY]))
    assert response.stop_reason == "tool_use"
    assert response.message.tool_calls == [
        ToolCall(id="1", name="search", arguments={"q": "\u00e9"}),
        ToolCall(id="2", name="reply", arguments={}),
    ]


async def test_thinking_comes_back_unchanged_even_from_the_log(
    make: Make, messages_api: MessagesApi
) -> None:
    redacted = {"type": "redacted_thinking", "data": "xyz"}
    messages_api.reply(THOUGHT, redacted, call("search", {"q": 1}))
    messages_api.reply("Done")
    model = make()
    first = await model.respond(ask(user("Hi"), tools=[SEARCH]))
    recorded = msgspec.json.decode(msgspec.json.encode(first), type=ModelResponse)
    assert recorded == first
    result = ToolResult(id="toolu_search", name="search", content="found")
    await model.respond(ask(user("Hi"), recorded.message, user(result), tools=[SEARCH]))
    sent = messages_api.last["messages"][1]["content"]
    assert sent == [THOUGHT, redacted, call("search", {"q": 1})]


async def test_what_the_api_would_reject_is_not_sent_back(
    make: Make, messages_api: MessagesApi
) -> None:
    messages_api.reply("Hello")
    thought = Opaque(provider="anthropic", data=THOUGHT)
    foreign = Opaque(provider="other", data={"type": "reasoning"})
    await make().respond(
        ask(user("Hi"), assistant(thought, foreign), user("?"), assistant("So", thought), user("!"))
    )
    assert messages_api.last["messages"] == [
        {"role": "user", "content": [text("Hi"), text("?")]},
        {"role": "assistant", "content": [text("So")]},
        {"role": "user", "content": [text("!")]},
    ]


@pytest.mark.parametrize(
    ("stop", "meant"),
    [
        ("end_turn", "end"),
        ("max_tokens", "max_tokens"),
        ("stop_sequence", "stop_sequence"),
        ("tool_use", "tool_use"),
        ("pause_turn", "pause"),
        ("refusal", "refusal"),
        ("model_context_window_exceeded", "context_window"),
    ],
)
async def test_all_stop_reasons(
    make: Make, messages_api: MessagesApi, stop: str, meant: str
) -> None:
    messages_api.reply("Hello", stop=stop)
    assert (await make().respond(ask())).stop_reason == meant


async def test_an_unknown_stop_reason_is_not_taken_for_success(
    make: Make, messages_api: MessagesApi
) -> None:
    messages_api.reply("Hello", stop="coffee_break")
    with pytest.raises(ModelError, match="'coffee_break'; update layby") as caught:
        await make().respond(ask())
    assert not caught.value.retryable


async def test_a_call_cut_by_max_tokens_is_not_made(make: Make, messages_api: MessagesApi) -> None:
    unsigned = {"type": "thinking", "thinking": "hm", "signature": ""}
    half = {**call("delete"), "input": '{"path": "/imp'}
    messages_api.reply("So", unsigned, call("search", {"q": 1}), half, stop="max_tokens")
    response = await make().respond(ask(tools=[SEARCH]))
    assert response.message.parts == [Text(text="So")]


async def test_calls_of_a_turn_said_to_have_ended_are_made(
    make: Make, messages_api: MessagesApi
) -> None:
    messages_api.reply(call("search"), stop="end_turn")
    assert (await make().respond(ask(tools=[SEARCH]))).stop_reason == "tool_use"


async def test_a_refusal_is_a_response_with_its_reason(
    make: Make, messages_api: MessagesApi
) -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "No."}
    messages_api.reply("I", stop="refusal", details=details)
    messages_api.reply("Hello")
    model = make()
    refused = await model.respond(ask())
    assert refused.stop_reason == "refusal"
    assert refused.message.parts[1:] == [Opaque(provider="anthropic", data=details)]
    await model.respond(ask(user("Hi"), refused.message, user("And this?")))
    assert messages_api.last["messages"][1] == {"role": "assistant", "content": [text("I")]}


# -- failures


async def failure(model: Model) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await model.respond(ask())
    assert KEY not in str(caught.value)
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  our own
    assert (str(copy), vars(copy)) == (str(caught.value), vars(caught.value))
    return caught.value


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
async def test_a_temporary_error_is_retryable_but_not_retried_here(
    make: Make, messages_api: MessagesApi, status: int
) -> None:
    messages_api.fail(status, "api_error", "Later.")
    error = await failure(make())
    assert (error.retryable, error.retry_after) == (True, None)
    assert "Later." in str(error)
    assert "req_test" in str(error)
    assert len(messages_api.requests) == 1


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (400, "refused the request to 'claude-haiku-4-5': Wrong."),
        (401, "set ANTHROPIC_API_KEY"),
        (402, "billing"),
        (403, "may not use 'claude-haiku-4-5'"),
        (404, "no model 'claude-haiku-4-5'"),
        (413, "shorter conversation"),
        (422, "status 422: Wrong."),
    ],
)
async def test_a_permanent_error_says_what_to_do(
    make: Make, messages_api: MessagesApi, status: int, advice: str
) -> None:
    messages_api.fail(status, "some_error", "Wrong.", retry_after="3")
    error = await failure(make())
    assert advice in str(error)
    assert (error.retryable, error.retry_after) == (False, None)
    assert error.bad_request is (status in {400, 413, 422})


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "3"}, 3.0),
        ({"retry_after_ms": "1500", "retry_after": "9"}, 1.5),
        ({"retry_after": "0"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": formatdate(0)}, None),
    ],
)
async def test_retry_after(
    make: Make, messages_api: MessagesApi, headers: dict[str, str], seconds: float | None
) -> None:
    messages_api.fail(429, "rate_limit_error", **headers)
    error = await failure(make())
    assert (error.retryable, error.retry_after) == (True, seconds)


async def test_retry_after_may_be_a_date(make: Make, messages_api: MessagesApi) -> None:
    messages_api.fail(529, "overloaded_error", retry_after=formatdate(time() + 60, usegmt=True))
    assert 50 < ((await failure(make())).retry_after or 0) <= 60


@pytest.mark.parametrize(("status", "wished"), [(429, "false"), (400, "true")])
async def test_the_api_may_say_whether_to_retry(
    make: Make, messages_api: MessagesApi, status: int, wished: str
) -> None:
    messages_api.fail(status, "some_error", x_should_retry=wished)
    assert (await failure(make())).retryable is (wished == "true")


@pytest.mark.parametrize("cut", ["hard", "soft", "error"])
@pytest.mark.parametrize("blocks", [[], ["Hello"], ["Hello", call("search", {"q": "abcdefgh"})]])
async def test_a_stream_cut_anywhere_is_not_a_response(
    make: Make, messages_api: MessagesApi, cut: str, blocks: list[Any]
) -> None:
    messages_api.reply(*blocks, cut=cut)
    error = await failure(make())
    assert error.retryable
    assert ("overloaded" if cut == "error" else "broke off") in str(error)


@pytest.mark.parametrize("body", ["<html>Bad gateway</html>", "[]", '"no"', '{"error": "no"}'])
@pytest.mark.parametrize("status", [200, 502])
async def test_a_proxys_answer_in_another_format(
    make: Make, messages_api: MessagesApi, status: int, body: str
) -> None:
    messages_api.replies.append(Reply(status=status, body=body))
    assert (await failure(make())).retryable


async def test_malformed_arguments_are_retryable(make: Make, messages_api: MessagesApi) -> None:
    messages_api.reply({**call("search"), "input": '{"q": nonsense}'})
    assert (await failure(make())).retryable


async def test_an_unreachable_server() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        model = anthropic(MODEL, api_key=KEY, base_url=url)
        error = await failure(model)
    assert error.retryable
    assert "cannot be reached" in str(error)
    await model.aclose()


async def test_a_response_that_takes_too_long(make: Make, messages_api: MessagesApi) -> None:
    hold = threading.Event()
    messages_api.reply("Hello", until=hold)
    try:
        error = await failure(make(timeout="300ms"))
    finally:
        hold.set()
    assert error.retryable
    assert "no complete response within 0.3 s" in str(error) or "broke off" in str(error)


async def test_cancelling_closes_the_stream_at_once(make: Make, messages_api: MessagesApi) -> None:
    hold, begun = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def decide(_: object) -> Reply:
        loop.call_soon_threadsafe(begun.set)
        return Reply(blocks=[text("Hello")], until=hold)

    messages_api.decide = decide
    task = asyncio.ensure_future(make().respond(ask()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    hold.set()


async def test_a_listeners_error_stays_as_it_is(make: Make, messages_api: MessagesApi) -> None:
    def listen(_: str) -> None:
        raise TimeoutError("mine")

    messages_api.reply("Hello")
    with pytest.raises(TimeoutError, match="mine"):
        await make().respond(ask(), listen)


@pytest.mark.parametrize("profile", [None, "missing"])
async def test_a_missing_key(
    messages_api: MessagesApi,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    profile: str | None,
) -> None:
    for name in [name for name in os.environ if name.startswith("ANTHROPIC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    if profile:
        monkeypatch.setenv("ANTHROPIC_PROFILE", profile)
    error = await failure(anthropic(MODEL, base_url=messages_api.url))
    assert "there is no API key: set ANTHROPIC_API_KEY" in str(error)
    assert not error.retryable
    assert not messages_api.requests


async def test_the_key_and_the_url_from_the_environment(
    messages_api: MessagesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", messages_api.url)
    messages_api.fail(401, "authentication_error", f"invalid key {KEY}")
    model = anthropic(MODEL)
    error = await failure(model)
    assert "invalid key **********" in str(error)
    await model.aclose()


async def test_a_key_with_a_line_break_is_not_repeated(make: Make) -> None:
    error = await failure(make(api_key=f"{KEY}\n"))
    assert "check the API key for line breaks" in str(error)
    assert not error.retryable


async def test_a_bad_base_url(make: Make) -> None:
    error = await failure(make(base_url="localhost:1234"))
    assert "check base_url" in str(error)
    assert not error.retryable


async def test_a_mistake_of_ours_is_not_blamed_on_the_api(make: Make) -> None:
    odd = ToolCall(id="1", name="search", arguments={"q": object()})
    with pytest.raises(TypeError):
        await make().respond(ask(user("Hi"), assistant(odd)))


async def test_no_traceback_leads_to_the_key(make: Make, messages_api: MessagesApi) -> None:
    messages_api.fail(401, "authentication_error")
    error = await failure(make())
    assert error.__cause__ is None
    assert error.__suppress_context__


# -- the model object


def test_it_is_a_model_and_hides_its_key() -> None:
    model = anthropic(MODEL, api_key=KEY)
    assert isinstance(model, Model)
    assert model.name == MODEL
    assert repr(model) == "anthropic('claude-haiku-4-5')"
    assert KEY not in f"{model} {model!r}"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"extra": {"tools": [], "model": "x"}}, "extra must not contain model, tools"),
        ({"max_tokens": 0}, "max_tokens=0"),
        ({"timeout": 0}, "more than zero"),
        ({"timeout": "soon"}, "'soon' cannot be read"),
    ],
)
def test_bad_settings_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(LaybyError, match=said):
        anthropic(MODEL, **options)


async def test_many_tasks_share_one_client(make: Make, messages_api: MessagesApi) -> None:
    messages_api.decide = lambda _: Reply(blocks=[text("Hello")])
    model = make()
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(model.respond(ask()))
    assert len(messages_api.requests) == 5
    assert len(model._clients) == 1  # pyright: ignore[reportPrivateUsage]


def test_one_model_serves_several_event_loops(messages_api: MessagesApi) -> None:
    messages_api.decide = lambda _: Reply(blocks=[text("Hello")])
    model = anthropic(MODEL, api_key=KEY, base_url=messages_api.url)

    async def once() -> str:
        try:
            return (await model.respond(ask())).message.text
        finally:
            await model.aclose()

    assert [asyncio.run(once()), asyncio.run(once())] == ["Hello", "Hello"]


def test_the_sdk_is_not_loaded_before_it_is_needed() -> None:
    code = (
        "import sys; from layby.models import anthropic; anthropic('claude-haiku-4-5');"
        "print(sorted({'anthropic', 'httpx', 'httpx2'} & set(sys.modules)))"
    )
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
