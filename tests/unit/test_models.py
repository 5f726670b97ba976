"""What all models share: attachments, prices, fallbacks, timeouts, and pydantic-ai's models."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic_ai import exceptions, messages
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RequestUsage

from layby.actors.models.anthropic_wire import write_messages
from layby.actors.models.pydantic_ai_wire import PROVIDER
from layby.events import UsageReported
from layby.models import (
    Document,
    Image,
    Message,
    Model,
    ModelError,
    ModelRequest,
    ModelResponse,
    Opaque,
    Price,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
    cost,
    fallback,
    pydantic_ai,
    with_timeout,
)
from layby.runtime.errors import InvalidSetup
from layby.runtime.streaming import TextDelta, TextStreams
from layby.testing import ScriptedModel
from tests.scripted import Scripted, says

PNG = b"\x89PNG\r\n\x1a\n"
SEARCH = ToolSpec(name="search", description="Search.", parameters={"type": "object"})


def user(*parts: Any) -> Message:
    return Message(role="user", parts=[Text(text=p) if isinstance(p, str) else p for p in parts])


def ask(*said: Message, **options: Any) -> ModelRequest:
    settings: dict[str, Any] = {"system": "Be brief.", **options}
    return ModelRequest(messages=list(said) or [user("Hi")], **settings)


# -- attachments


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
    ],
)
def test_an_images_type_is_detected(data: bytes, kind: str) -> None:
    assert Image(data=data).media_type == kind


def test_attachments_come_back_from_the_log() -> None:
    message = user("Look", Image(data=PNG), Document(url="https://example.com/a.pdf", name="A"))
    recorded = msgspec.json.encode(message)
    assert b"iVBORw0KGgo=" in recorded
    assert msgspec.json.decode(recorded, type=Message) == message


def test_attachments_from_files(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "note.txt").write_text("Be kind.")
    assert Image.read(tmp_path / "a.png") == Image(data=PNG, media_type="image/png")
    note = Document.read(tmp_path / "note.txt")
    assert (note.name, note.media_type, note.is_text, note.text) == (
        "note.txt", "text/plain", True, "Be kind.",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "either data= or url="),
        ({"data": PNG, "url": "https://example.com"}, "either data= or url="),
        ({"url": "file:///etc/passwd"}, "not an http URL"),
        ({"data": b"?"}, "media_type="),
    ],
)
def test_bad_attachments_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Image(**fields)


def test_attachments_as_anthropic_takes_them() -> None:
    [turn] = write_messages(
        [
            user(
                Image(data=PNG),
                Image(url="https://example.com/a.jpg"),
                Document(data=b"%PDF-1.7", name="Terms"),
                Document(data=b"Be kind.", media_type="text/markdown"),
                Document(url="https://example.com/a.pdf"),
            )
        ]
    )
    png = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjc="}
    note = {"type": "text", "media_type": "text/plain", "data": "Be kind."}
    assert turn["content"] == [
        {"type": "image", "source": png},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.jpg"}},
        {"type": "document", "source": pdf, "title": "Terms"},
        {"type": "document", "source": note},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
    ]


def test_a_request_that_shows_something() -> None:
    picture = Image(data=PNG)
    plain = ask(user("Look"), Message(role="assistant", parts=[Text(text="Hm")]))
    shown = plain.showing(picture)
    assert shown.messages == [user("Look", picture), plain.messages[1]]
    assert plain.messages[0] == user("Look")
    assert ModelRequest(system="", messages=[]).showing(picture).messages == [user(picture)]


# -- prices


def test_cost() -> None:
    usage = Usage(
        input_tokens=1_000_000,
        output_tokens=100_000,
        cache_read_tokens=2_000_000,
        cache_write_tokens=400_000,
    )
    price = Price(input=1.0, output=5.0, cache_read=0.1, cache_write=1.25)
    assert cost(usage, price) == pytest.approx(1.0 + 0.5 + 0.2 + 0.5)
    assert cost(usage, Price(input=1.0, output=5.0)) == pytest.approx(1.0 + 0.5 + 2.0 + 0.4)
    assert cost(Usage(), price) == 0
    event = UsageReported(id="1", run="r", at="", model="m", input_tokens=500_000)
    assert cost(event, price) == pytest.approx(0.5)


def test_a_price_is_not_negative() -> None:
    with pytest.raises(ValueError, match="output=-1 is negative"):
        Price(input=1, output=-1)


# -- fallback


async def test_the_next_model_answers_when_one_fails() -> None:
    busy = Scripted(ModelError("busy", retryable=True), name="a")
    keyless = Scripted(ModelError("no key"), name="b")
    good = Scripted(says("Hello"), name="c")
    model = fallback(busy, keyless, good)
    assert isinstance(model, Model)
    assert model.name == "a"
    assert (await model.respond(ask())).message.text == "Hello"
    assert (busy.paid, keyless.paid, good.paid) == (1, 1, 1)


async def test_an_invalid_request_does_not_go_to_the_next_model() -> None:
    first = Scripted(ModelError("malformed", bad_request=True))
    second = Scripted(says("Hello"))
    with pytest.raises(ModelError, match="malformed"):
        await fallback(first, second).respond(ask())
    assert second.paid == 0


@pytest.mark.parametrize(
    ("waits", "retryable", "retry_after"),
    [
        ([3.0, 2.0], True, 2.0),
        ([3.0, None], True, None),
        ([3.0, "final"], True, 3.0),
        (["final", "final"], False, None),
    ],
)
async def test_when_all_fail(
    waits: list[Any], *, retryable: bool, retry_after: float | None
) -> None:
    models = [
        Scripted(
            ModelError(f"no {n}") if wait == "final"
            else ModelError(f"no {n}", retryable=True, retry_after=wait)
        )
        for n, wait in enumerate(waits)
    ]  # fmt: skip
    with pytest.raises(ModelError, match="no 0; no 1") as caught:
        await fallback(*models).respond(ask())
    assert (caught.value.retryable, caught.value.retry_after) == (retryable, retry_after)


async def test_only_a_models_failure_causes_a_fallback() -> None:
    with pytest.raises(KeyError):
        await fallback(Scripted(KeyError("ours")), Scripted(says("Hello"))).respond(ask())


async def test_listeners_are_told_to_discard_text_of_a_model_that_broke_off() -> None:
    class Breaks:
        name = "breaks"

        async def respond(self, request: ModelRequest, on_text: Any = None) -> ModelResponse:
            del request
            on_text("Hel")
            raise ModelError("the line broke", retryable=True)

    received: list[bytes] = []
    streams = TextStreams(lambda _, body: received.append(body))
    with streams.open(run="r", step="s", agent="a", after=1) as speech:
        await fallback(Breaks(), ScriptedModel(["Hello you"])).respond(ask(), speech)
    deltas = [msgspec.json.decode(body, type=TextDelta) for body in received]
    assert [(delta.text, delta.index) for delta in deltas] == [("Hel", 0), ("Hello you", 0)]
    assert len({delta.answer for delta in deltas}) == 2


def test_a_fallback_needs_two_models() -> None:
    with pytest.raises(InvalidSetup, match="at least two"):
        fallback(Scripted(says("Hello")))


# -- timeout


class Slow:
    name = "slow"

    async def respond(self, request: ModelRequest, on_text: Any = None) -> ModelResponse:
        del request, on_text
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_slow_model_fails_and_the_next_one_answers() -> None:
    model = with_timeout(Slow(), "20ms")
    assert (isinstance(model, Model), model.name) == (True, "slow")
    with pytest.raises(ModelError, match=r"no complete response within 0\.02 s") as caught:
        await model.respond(ask())
    assert caught.value.retryable
    answered = await fallback(model, Scripted(says("Hello"))).respond(ask())
    assert answered.message.text == "Hello"


async def test_a_models_own_timeout_stays_as_it_is() -> None:
    with pytest.raises(TimeoutError, match="mine"):
        await with_timeout(Scripted(TimeoutError("mine")), "1m").respond(ask())


# -- pydantic-ai


async def test_pydantic_ai_text() -> None:
    model = pydantic_ai(TestModel(custom_output_text="Hello, world"))
    assert (isinstance(model, Model), model.name) == (True, "test")
    response = await model.respond(ask())
    assert (response.message.text, response.stop_reason) == ("Hello, world", "end")
    assert response.usage.output_tokens > 0


async def test_pydantic_ai_streams() -> None:
    heard: list[str] = []
    model = pydantic_ai(TestModel(custom_output_text="Hello, world"))
    response = await model.respond(ask(), heard.append)
    assert len(heard) > 1
    assert "".join(heard) == response.message.text == "Hello, world"


async def test_pydantic_ai_gets_the_whole_request_and_its_calls_are_read() -> None:
    seen: list[tuple[list[messages.ModelMessage], AgentInfo]] = []

    def function(said: list[messages.ModelMessage], info: AgentInfo) -> messages.ModelResponse:
        seen.append((said, info))
        thought = messages.ThinkingPart(content="Hm", signature="c2ln", provider_name="google")
        called = messages.ToolCallPart(tool_name="search", args='{"q": 2}', tool_call_id="2")
        usage = RequestUsage(input_tokens=310, cache_read_tokens=300, output_tokens=5)
        return messages.ModelResponse(parts=[thought, called], usage=usage)

    model = pydantic_ai(FunctionModel(function), settings={"temperature": 0.2})
    call = ToolCall(id="1", name="search", arguments={"q": 1})
    result = ToolResult(id="1", name="search", content="no", is_error=True)
    conversation = [
        user("Hi", Image(data=PNG), Document(url="https://example.com/a.pdf")),
        Message(role="assistant", parts=[Text(text="Let me see"), call]),
        user(result, "go on"),
    ]
    request = ask(*conversation, tools=[SEARCH], tool_choice="search", max_tokens=7)
    response = await model.respond(request)
    [(said, info)] = seen
    assert [tool.name for tool in info.function_tools] == ["search"]
    assert info.instructions == "Be brief."
    assert info.model_settings == {
        "temperature": 0.2, "max_tokens": 7, "tool_choice": ["search"],
    }  # fmt: skip
    first, second, third = said
    assert isinstance(first.parts[0], messages.UserPromptPart)
    assert [type(item).__name__ for item in first.parts[0].content] == [
        "str", "BinaryContent", "DocumentUrl",
    ]  # fmt: skip
    assert [part.part_kind for part in second.parts] == ["text", "tool-call"]
    assert [part.part_kind for part in third.parts] == ["tool-return", "user-prompt"]
    assert response.stop_reason == "tool_use"
    assert response.message.tool_calls == [ToolCall(id="2", name="search", arguments={"q": 2})]
    assert response.usage == Usage(input_tokens=10, cache_read_tokens=300, output_tokens=5)


async def test_pydantic_ai_gets_its_own_reasoning_back_from_the_log() -> None:
    thought = messages.ThinkingPart(content="Hm", signature="c2ln", provider_name="google")
    seen: list[Any] = []

    def function(said: list[messages.ModelMessage], info: AgentInfo) -> messages.ModelResponse:
        del info
        seen.append(said[-2].parts[0] if len(said) > 1 else None)
        return messages.ModelResponse(parts=[thought, messages.TextPart(content="Hello")])

    model = pydantic_ai(FunctionModel(function))
    first = await model.respond(ask())
    opaque = first.message.parts[0]
    assert isinstance(opaque, Opaque)
    assert opaque.provider == PROVIDER
    recorded = msgspec.json.decode(msgspec.json.encode(first), type=ModelResponse)
    await model.respond(ask(user("Hi"), recorded.message, user("And?")))
    assert seen[1] == thought


@pytest.mark.parametrize(
    ("error", "retryable", "bad_request"),
    [
        (exceptions.ModelHTTPError(429, "m", headers={"retry-after": "3"}), True, False),
        (exceptions.ModelHTTPError(503, "m"), True, False),
        (exceptions.ModelConnectionError("m", "refused"), True, False),
        (exceptions.ModelRequestRejectedError("m", "malformed"), False, True),
        (exceptions.ModelAuthenticationError("m", "the key sk-123"), False, False),
        (exceptions.UnexpectedModelBehavior("odd"), True, False),
    ],
)
async def test_pydantic_ais_errors(error: Exception, *, retryable: bool, bad_request: bool) -> None:
    def function(*_: object) -> messages.ModelResponse:
        raise error

    with pytest.raises(ModelError) as caught:
        await pydantic_ai(FunctionModel(function)).respond(ask())
    assert (caught.value.retryable, caught.value.bad_request) == (retryable, bad_request)
    assert "sk-123" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_pydantic_ais_stream_that_breaks() -> None:
    async def stream(said: list[messages.ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        del said, info
        yield "Hel"
        raise exceptions.ModelConnectionError("m", "reset")

    model = pydantic_ai(FunctionModel(stream_function=stream))
    with pytest.raises(ModelError, match="failed") as caught:
        await model.respond(ask(), print)
    assert caught.value.retryable


async def test_a_users_mistake_is_not_a_failure_of_the_model() -> None:
    with pytest.raises(exceptions.UserError):
        await pydantic_ai("nonsense:x").respond(ask())


async def test_without_pydantic_ai_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(_: str) -> None:
        raise ImportError

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(InvalidSetup, match=r"pip install -e .*\[pydantic-ai\]'"):
        await pydantic_ai("google:gemini-3-pro").respond(ask())
