"""Agents with real SDKs over HTTP: tools, rate limits that park, fallbacks, and no key anywhere."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import pytest

from layby import Agent, App, Network, Step, tool
from layby.bus.errors import BusError
from layby.events import UsageReported
from layby.models import Model, Price, anthropic, cost, fallback, openai
from layby.testing import TestRuntime
from layby.tools import ask_developer
from tests.fix_completions import CompletionsApi, call
from tests.fix_messages import MessagesApi
from tests.fix_responses import thought

pytestmark = pytest.mark.nats

Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]
KEY = "sk-test-hunter2"


@tool
def look_up(order: str) -> str:
    """Look an order up."""
    return f"order {order} is on its way"


def app_with(model: Model, *tools: Any) -> App:
    clerk = Agent("Clerk", system="Help.", tools=[look_up, *tools])
    desk = Network(
        "desk",
        agents=[clerk],
        router=lambda route: None if route.turns else clerk,
        default_model=model,
    )
    app = App("desk", networks=[desk])

    @app.workflow(on="desk.opened", key="id")
    async def handle(event: dict[str, Any], step: Step) -> dict[str, Any]:
        result = await step.network(desk, f"Where is order {event['id']}?")
        return {"text": result.text, "tokens": result.usage.input_tokens}

    return app


@pytest.fixture
async def gpt(completions_api: CompletionsApi) -> AsyncIterator[Model]:
    model = openai("gpt-5-mini", api_key=KEY, base_url=completions_api.url)
    yield model
    await model.aclose()


async def test_an_agent_with_openais_sdk(
    layby_running: Running, completions_api: CompletionsApi, gpt: Model
) -> None:
    completions_api.reply("Let me see.", call("look_up", {"order": "7"}))
    completions_api.reply("It is on its way.")
    async with layby_running(app_with(gpt)) as rt:
        run = await rt.send("desk.opened", {"id": "7"})
        assert await rt.result() == {"text": "It is on its way.", "tokens": 20}
        usages = [e async for e in rt.client.events(run) if isinstance(e, UsageReported)]
    assert [usage.model for usage in usages] == ["gpt-5-mini"] * 2
    price = Price(input=1_000_000, output=0)
    assert sum(cost(usage, price) for usage in usages) == 20
    sent = completions_api.last["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "tool"]
    assert sent[3] == {
        "role": "tool", "tool_call_id": "call_look_up", "content": "order 7 is on its way",
    }  # fmt: skip


async def test_reasoning_survives_the_death_of_its_worker(
    layby_running: Running, responses_api: CompletionsApi
) -> None:
    gpt = openai("gpt-5.2", api_key=KEY, base_url=responses_api.url, api="responses")
    asked = call("ask_developer", {"question": "Which order?"})
    responses_api.reply("", asked, items=[thought()])
    responses_api.reply("It is on its way.")
    app = app_with(gpt, ask_developer)
    async with layby_running(app, workers=0) as rt:
        async with rt.worker():
            await rt.send("desk.opened", {"id": "7"})
            await rt.question()
        async with rt.worker():
            await rt.answer("7", "The second")
            assert (await rt.result())["text"] == "It is on its way."
    sent = responses_api.last["input"]
    assert [item.get("type", "message") for item in sent] == [
        *("message", "reasoning", "function_call", "function_call_output"),
    ]
    assert sent[1]["encrypted_content"] == thought()["encrypted_content"]
    assert "The second" in sent[3]["output"]
    await gpt.aclose()


async def test_a_long_rate_limit_parks_the_run(
    layby_running: Running, completions_api: CompletionsApi, gpt: Model
) -> None:
    completions_api.fail(429, "Slow down.", retry_after="3600")
    completions_api.reply("It is on its way.")
    async with layby_running(app_with(gpt)) as rt:
        run = await rt.send("desk.opened", {"id": "7"})
        fired = await rt.advance()
        assert (fired.kind, fired.name) == ("step", "model#0")
        assert await rt.result() == {"text": "It is on its way.", "tokens": 10}
        failed = [step for step in (await rt.ended(run)).steps if step.kind == "step.failed"]
    assert "rate limit of 'gpt-5-mini'" in f"{failed[0].name} {failed[0].detail}"
    assert len(completions_api.requests) == 2


async def test_the_next_provider_continues_the_conversation(
    layby_running: Running,
    completions_api: CompletionsApi,
    messages_api: MessagesApi,
    gpt: Model,
) -> None:
    claude = anthropic("claude-haiku-4-5", api_key=KEY, base_url=messages_api.url)
    thought = {"type": "thinking", "thinking": "Hm", "signature": "c2ln"}
    tool_use = {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"order": "7"}}
    messages_api.reply(thought, tool_use)
    messages_api.fail(529, "overloaded_error")
    completions_api.reply("It is on its way.")
    async with layby_running(app_with(fallback(claude, gpt))) as rt:
        await rt.send("desk.opened", {"id": "7"})
        assert (await rt.result())["text"] == "It is on its way."
    [_, _, called, seen] = completions_api.last["messages"]
    assert (called["tool_calls"][0]["id"], seen["tool_call_id"]) == ("toolu_1", "toolu_1")
    assert "thinking" not in str(completions_api.last)
    await claude.aclose()


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_no_key_in_anything_that_is_stored_or_logged(
    layby_running: Running,
    completions_api: CompletionsApi,
    messages_api: MessagesApi,
    gpt: Model,
    *,
    capfd: pytest.CaptureFixture[str],
    provider: str,
) -> None:
    """Not even in the log of a worker that shows the variables around an error, as here."""
    completions_api.reply("", call("look_up", {"order": "7"}))
    completions_api.fail(401, f"Incorrect API key provided: {KEY}")
    messages_api.fail(401, "authentication_error", f"invalid x-api-key {KEY}")
    claude = anthropic("claude-haiku-4-5", api_key=KEY, base_url=messages_api.url)
    async with layby_running(app_with(gpt if provider == "openai" else claude)) as rt:
        run = await rt.send("desk.opened", {"id": "7"})
        ended = await rt.ended()
        assert ended.status == "blocked"
        await rt.client.cancel(run)
        said = [str(event) async for event in rt.client.events(run)]
        kept = [line async for line in everything(rt)]
    assert "not accept the API key" in (ended.error or "")
    assert len(kept) > 5
    for text in (str(ended), *said, *kept, *capfd.readouterr()):
        assert KEY not in text
    await claude.aclose()


async def everything(rt: TestRuntime) -> AsyncIterator[str]:
    """Every message of every stream, headers too."""
    requests = rt._requests  # pyright: ignore[reportPrivateUsage]
    for name in (await requests.api("STREAM.NAMES", {}))["streams"]:
        info = await requests.api(f"STREAM.INFO.{name}")
        for seq in range(1, info["state"]["last_seq"] + 1):
            with suppress(BusError):  # removed meanwhile
                message = (await requests.api(f"STREAM.MSG.GET.{name}", {"seq": seq}))["message"]
                for part in ("data", "hdrs"):
                    yield base64.b64decode(message.get(part, "")).decode(errors="replace")
