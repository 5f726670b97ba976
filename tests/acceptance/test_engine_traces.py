"""A tool that waits, in one process: what was done has one span, and what goes on links back."""

from __future__ import annotations

import opentelemetry.trace
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from layby import Agent, ToolContext, tool
from layby.runtime import tracing
from layby.tracing import names
from tests.engine import Engine, desk
from tests.scripted import Scripted, calls, says

pytestmark = pytest.mark.nats

done: list[str] = []


def charge(amount: int) -> int:
    done.append(f"charged {amount}")
    return amount


@tool
async def refund(ctx: ToolContext, amount: int) -> str:
    """Give money back, if a person agrees."""
    charged = await ctx.step.run("charge", charge, amount)
    answer = await ctx.step.ask("developer", f"Refund {charged}?")
    return answer.text


def ids(spans: list[ReadableSpan]) -> list[int]:
    return [at.span_id for span in spans if (at := span.get_span_context())]


async def test_a_tool_that_waits_links_back_and_repeats_no_span(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider is the app's own: no variable is set."""
    done.clear()
    kept, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(opentelemetry.trace, "_TRACER_PROVIDER", provider)
    monkeypatch.setattr(tracing, "_process", tracing._Process())
    agent = Agent("Clerk", tools=[refund])
    model = Scripted(calls(("refund", {"amount": 7})), says("done"))
    app = desk(agent, model=model)
    async with engine.works(app):
        run = await engine.start()
        await engine.question()
    async with engine.works(app):
        await engine.answer()
        assert (await engine.result(run))["text"] == "done"

    def named(name: str) -> list[ReadableSpan]:
        return [each for each in kept.get_finished_spans() if each.name == name]

    assert done == ["charged 7"]
    assert len(named("step charge")) == 1, "a replay is not an effect"
    first, second = named("execute_tool refund")
    assert (first.attributes or {})[names.OUTCOME] == "paused"
    assert names.OUTCOME not in (second.attributes or {})
    before, after = named("invoke_agent Clerk")
    [link] = after.links
    assert [link.context.span_id] == ids([before])
    assert after.parent is not None
    assert [after.parent.span_id] == ids([before])
    assert len({each.context.trace_id for each in kept.get_finished_spans() if each.context}) == 1
