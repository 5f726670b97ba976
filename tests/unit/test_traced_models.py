"""Requests to models continue the trace, and have one span each: never the SDK's beside ours."""

from __future__ import annotations

from collections.abc import Iterator

import opentelemetry.trace
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from layby.actors.models.asking import ask
from layby.models import Message, Model, ModelError, ModelRequest, Text, anthropic, fallback, openai
from layby.runtime import tracing
from layby.runtime.tracing import UNTRACED
from layby.tracing import names
from layby.tracing.place import ids, outgoing
from layby.tracing.tracer import SpanTracer
from tests.fix_completions import CompletionsApi
from tests.fix_messages import MessagesApi

KEY = "sk-ant-test-hunter2"
REQUEST = ModelRequest(
    system="", messages=[Message(role="user", parts=[Text(text="hi")])], tools=[]
)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """The spans of a provider that is the process's own, as a worker's is."""
    kept, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(opentelemetry.trace, "_TRACER_PROVIDER", provider)
    monkeypatch.setattr(tracing, "_process", tracing._Process())
    tracing.use(outgoing, ids)
    yield kept
    kept.clear()


def continues(headers: dict[str, str], span: ReadableSpan) -> bool:
    at = span.get_span_context()
    assert at is not None
    return headers["traceparent"].startswith(f"00-{at.trace_id:032x}-{at.span_id:016x}-")


def tracer() -> SpanTracer:
    return SpanTracer(opentelemetry.trace.get_tracer_provider(), {})


async def test_a_request_to_anthropic_has_one_span_and_continues_it(
    messages_api: MessagesApi, kept: InMemorySpanExporter
) -> None:
    model = anthropic("claude-haiku-4-5", api_key=KEY, base_url=messages_api.url)
    messages_api.reply("hello")
    await ask(tracer(), model, REQUEST, None)
    [span] = kept.get_finished_spans()
    assert span.name == "chat claude-haiku-4-5"
    assert (span.attributes or {})[names.PROVIDER] == "anthropic"
    assert continues(messages_api.requests[0].headers, span)
    await model.aclose()


async def test_a_model_that_a_program_asks_itself_has_the_span_of_the_sdk(
    messages_api: MessagesApi, kept: InMemorySpanExporter
) -> None:
    model = anthropic("claude-haiku-4-5", api_key=KEY, base_url=messages_api.url)
    messages_api.reply("hello")
    with tracer().work("step", "ask it"):
        await model.respond(REQUEST)
    sdk, step = kept.get_finished_spans()
    assert sdk.name == "anthropic.messages.create"
    assert step.name == "step ask it"
    assert continues(messages_api.requests[0].headers, sdk)
    await model.aclose()


async def test_a_request_to_openai_continues_its_span(
    completions_api: CompletionsApi, kept: InMemorySpanExporter
) -> None:
    model = openai(
        "gpt-5.2",
        api_key=KEY,
        base_url=completions_api.url,
        extra={"extra_headers": {"x-team": "shop"}},
    )
    completions_api.reply("hello")
    await ask(tracer(), model, REQUEST, None)
    [span] = kept.get_finished_spans()
    headers = completions_api.requests[0].headers
    assert continues(headers, span)
    assert headers["x-team"] == "shop"
    assert (span.attributes or {})[names.PROVIDER] == "openai"
    await model.aclose()


async def test_a_failed_request_has_a_span_that_shows_no_key(
    messages_api: MessagesApi, kept: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    first = anthropic("claude-haiku-4-5", base_url=messages_api.url)
    model: Model = fallback(first, anthropic("claude-fable-5", base_url=messages_api.url))
    for _ in range(2):
        messages_api.fail(401, "authentication_error", f"bad key {KEY}")
    with pytest.raises(ModelError):
        await ask(tracer(), model, REQUEST, None)
    [span] = kept.get_finished_spans()
    assert (span.attributes or {})[names.ERROR] == "ModelError"
    assert (span.attributes or {})[names.PROVIDER] == "anthropic"
    assert KEY not in span.to_json()


async def test_an_untraced_request_carries_nothing(
    messages_api: MessagesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "_process", tracing._Process())
    model = anthropic("claude-haiku-4-5", api_key=KEY, base_url=messages_api.url)
    messages_api.reply("hello")
    await ask(UNTRACED, model, REQUEST, None)
    assert "traceparent" not in messages_api.requests[0].headers
    await model.aclose()
