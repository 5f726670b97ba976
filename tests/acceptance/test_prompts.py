"""What a model was sent is recorded, once, and it is what its server received."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
import pytest

from layby import Agent, App, Halt, Network, RoutingAgent, Step, tool
from layby.models import Image, Message, Model, ModelRequest, Text, anthropic, openai
from layby.runtime.entry import NULL, Stepped
from layby.runtime.envelope import read
from layby.testing import TestRuntime
from layby.tools import ask_developer
from layby.views.prompt import Prompt
from layby.views.prompts import NoPrompt, PromptReader
from tests import fix_completions
from tests.engine import once
from tests.fix_completions import CompletionsApi
from tests.fix_messages import MessagesApi, call
from tests.scripted import Scripted, calls, says

pytestmark = pytest.mark.nats

Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]
KEY = "sk-test-hunter2"
FIRST, SECOND = "desk/turn#0.0/model#0", "desk/turn#0.0/model#1"
PNG = b"\x89PNG\r\n" + b"pixels" * 20_000


@tool
def look_up(order: str) -> str:
    """Look an order up."""
    return f"order {order} is on its way"


def app_with(model: Model, *tools: Any, **options: Any) -> App:
    clerk = Agent("Clerk", system="Help.", tools=[look_up, *tools])
    desk = Network(
        "desk",
        agents=[clerk],
        router=lambda route: None if route.turns else clerk,
        default_model=model,
    )
    app = App("desk", networks=[desk], **options)

    @app.workflow(on="desk.opened", key="id")
    async def handle(event: dict[str, Any], step: Step) -> str:
        shown = [Image(data=PNG)] if event.get("picture") else []
        result = await step.network(desk, f"Where is order {event['id']}?", attachments=shown)
        return result.text

    return app


@pytest.fixture
async def claude(messages_api: MessagesApi) -> AsyncIterator[Model]:
    secret = {"mcp_servers": [{"url": "http://files", "authorization_token": KEY}]}
    headers = {"extra_headers": {"x-gateway": KEY}}
    model = anthropic(
        "claude-haiku-4-5", api_key=KEY, base_url=messages_api.url, extra={**secret, **headers}
    )
    yield model
    await model.aclose()


async def requests_of(rt: TestRuntime, run: str) -> PromptReader:
    """The requests in a run's log."""
    _, messages = await rt.client._load(run)  # pyright: ignore[reportPrivateUsage]
    reader = PromptReader(run)
    reader.read(messages)
    return reader


def hidden(body: dict[str, Any]) -> dict[str, Any]:
    """A request as it is recorded: without the login of a server that the provider connects to."""
    if "mcp_servers" in body:
        body["mcp_servers"][0]["authorization_token"] = "[redacted]"  # noqa: S105
    return body


async def test_it_is_what_the_server_received(
    layby_running: Running, messages_api: MessagesApi, claude: Model
) -> None:
    messages_api.reply("Let me see.", call("look_up", {"order": "7"}))
    messages_api.reply("It is on its way.")
    async with layby_running(app_with(claude)) as rt:
        run = await rt.send("desk.opened", {"id": "7"})
        await rt.result()
        prompts = [await rt.client.prompt("7", step) for step in (FIRST, SECOND)]
        received = [hidden(request.body) for request in messages_api.requests]
        assert [prompt.body for prompt in prompts] == received
        first, second = prompts
        assert (second.run, second.step, second.form) == (run, SECOND, "anthropic")
        assert await rt.client.prompt(run, str(second.n)) == second
        assert await rt.client.prompt(run, f"{second.n}.{second.place}") == second
        with pytest.raises(NoPrompt, match=f"'desk/route#0' asked.* these do: .*{SECOND}"):
            await rt.client.prompt(run, "desk/route#0")
    assert (first.model, first.system, first.new_from) == ("claude-haiku-4-5", "Help.", 0)
    assert [(each.name, each.description) for each in first.tools] == [
        ("look_up", "Look an order up.")
    ]
    assert first.params["max_tokens"] == 4096
    assert [message.role for message in second.messages] == ["user", "assistant", "user"]
    assert second.new_from == 1
    said, asked = second.messages[1].parts
    assert (said.text, asked.kind, asked.tool) == ("Let me see.", "tool_call", "look_up")
    [seen] = second.messages[2].parts
    assert (seen.kind, seen.text, seen.id) == ("tool_result", "order 7 is on its way", asked.id)
    assert KEY not in msgspec.json.encode(prompts).decode()


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_it_is_what_openais_apis_received_too(
    layby_running: Running,
    completions_api: CompletionsApi,
    responses_api: CompletionsApi,
    api: Any,
) -> None:
    server = completions_api if api == "chat" else responses_api
    server.reply("", fix_completions.call("look_up", {"order": "7"}))
    server.reply("It is on its way.")
    gpt = openai("gpt-5-mini", api_key=KEY, base_url=server.url, api=api, extra={"foo": [1]})
    async with layby_running(app_with(gpt)) as rt:
        await rt.send("desk.opened", {"id": "7"})
        await rt.result()
        prompts = [await rt.client.prompt("7", step) for step in (FIRST, SECOND)]
    assert [prompt.body for prompt in prompts] == [each.body for each in server.requests]
    assert {prompt.form for prompt in prompts} == {"openai" if api == "chat" else "responses"}
    first, second = prompts
    assert (second.system, second.params["foo"], second.new_from) == ("Help.", [1], 1)
    assert first.messages == second.messages[:1]
    assert [part.kind for message in second.messages for part in message.parts] == [
        *("text", "tool_call", "tool_result"),
    ]
    assert [each.name for each in second.tools] == ["look_up"]
    await gpt.aclose()


async def test_a_model_of_your_own_is_recorded_as_it_was_asked(layby_running: Running) -> None:
    model = Scripted(calls(("look_up", {"order": "7"})), says("It is on its way."))
    async with layby_running(app_with(model)) as rt:
        await rt.send("desk.opened", {"id": "7"})
        await rt.result()
        prompt = await rt.client.prompt("7", SECOND)
    assert (prompt.form, prompt.system, prompt.new_from) == ("layby", "Help.", 1)
    assert prompt.body == {"model": model.name, **msgspec.to_builtins(model.requests[1])}
    assert [part.kind for message in prompt.messages for part in message.parts] == [
        *("text", "tool_call", "tool_result"),
    ]


async def test_a_picture_is_stored_with_the_task_alone(
    layby_running: Running, messages_api: MessagesApi, claude: Model
) -> None:
    messages_api.reply(call("look_up", {"order": "7"}))
    messages_api.reply("It is on its way.")
    async with layby_running(app_with(claude)) as rt:
        run = await rt.send("desk.opened", {"id": "7", "picture": True})
        await rt.result()
        prompt = await rt.client.prompt(run, SECOND)
        assert prompt.body == hidden(messages_api.requests[1].body)
        reader = await requests_of(rt, run)
        assert sum(len(msgspec.json.encode(each.sent)) for each in reader.found) < 3000
        history = await rt.client.record(run)
        assert len(history.values) == 1  # the network's input
    assert prompt.messages[0].parts[1].kind == "attachment"


async def test_a_try_that_failed_has_one_and_the_next_repeats_it(
    layby_running: Running, messages_api: MessagesApi, claude: Model
) -> None:
    messages_api.fail(429, "rate_limit_error", retry_after="3600")
    messages_api.reply("It is on its way.")
    async with layby_running(app_with(claude)) as rt:
        run = await rt.send("desk.opened", {"id": "7"})
        await rt.advance()
        await rt.result()
        reader = await requests_of(rt, run)
        failed, done = reader.found
        assert failed.sent.id == done.sent.id == done.sent.base
        assert (failed.step, done.step) == (FIRST, FIRST)
        assert (done.sent.parts, done.sent.marks) == (NULL, {})
        assert (await rt.client.prompt(run, str(failed.n))).body == hidden(messages_api.last)
        assert (await rt.client.prompt(run, FIRST)).n == done.n


async def test_a_run_that_gave_up_says_what_it_had_sent(
    layby_running: Running, messages_api: MessagesApi, claude: Model
) -> None:
    messages_api.fail(400, "invalid_request_error")
    async with layby_running(app_with(claude)) as rt:
        run = await rt.send("desk.opened", {"id": "7"})
        assert (await rt.ended()).status == "failed"
        assert (await rt.client.prompt(run, FIRST)).body == hidden(messages_api.last)


async def test_nothing_is_recorded_where_the_app_does_not_want_it(
    layby_running: Running, messages_api: MessagesApi, claude: Model
) -> None:
    messages_api.reply("It is on its way.")
    async with layby_running(app_with(claude, record_prompts=False)) as rt:
        run = await rt.send("desk.opened", {"id": "7"})
        await rt.result()
        with pytest.raises(NoPrompt, match="record_prompts=False"):
            await rt.client.prompt(run, FIRST)
        assert (await requests_of(rt, run)).found == []


async def test_the_next_worker_continues_what_the_first_has_stored(
    layby_running: Running, messages_api: MessagesApi, claude: Model
) -> None:
    messages_api.reply(call("ask_developer", {"question": "Which order?"}))
    messages_api.reply("It is on its way.")
    async with layby_running(app_with(claude, ask_developer), workers=0) as rt:
        async with rt.worker():
            run = await rt.send("desk.opened", {"id": "7"})
            await rt.question()
        async with rt.worker():
            await rt.answer("7", "The second")
            await rt.result()
        first, second = (await requests_of(rt, run)).found
        prompt = await rt.client.prompt(run, SECOND)
    assert prompt.body == hidden(messages_api.last)
    assert (second.sent.base, set(second.sent.marks)) == (first.sent.id, {"messages"})


async def test_a_routing_agent_has_prompts_and_an_agent_that_was_halted_none(
    layby_running: Running,
) -> None:
    def halt(*_: Any) -> Halt:
        return Halt("closed")

    script = Scripted(calls(("route_to_agent", {"agent": "Clerk"})), calls(("done", {})))
    clerk = Agent("Clerk", system="Help.", on_start=halt)
    boss = RoutingAgent("Boss", system="Decide.", model=script)
    desk = Network("desk", agents=[clerk], router=boss, default_model=Scripted())
    app = App("desk", networks=[desk])

    @app.workflow(on="desk.opened", key="id")
    async def handle(_: dict[str, Any], step: Step) -> str:
        return (await step.network(desk, "Work.")).text

    async with layby_running(app) as rt:
        run = await rt.send("desk.opened", {"id": "7"})
        await rt.result()
        found = [each.step for each in (await requests_of(rt, run)).found]
        prompts = [await rt.client.prompt(run, step) for step in found]
    assert found == ["desk/route#0/model#0", "desk/route#1/model#0"]
    assert [prompt.system.partition("\n")[0] for prompt in prompts] == ["Decide."] * 2


async def test_an_agent_that_is_halted_later_has_the_prompts_before(layby_running: Running) -> None:
    """The step that was halted must not have the request of the step before it."""
    model = Scripted(calls(("look_up", {"order": "7"})))

    def halt_the_second(_: Any, request: ModelRequest) -> Halt | None:
        return Halt("closed") if len(request.messages) > 1 else None

    clerk = Agent("Clerk", tools=[look_up], on_start=halt_the_second)
    desk = Network("desk", agents=[clerk], router=once, default_model=model)
    app = App("desk", networks=[desk])

    @app.workflow(on="desk.opened", key="id")
    async def handle(_: dict[str, Any], step: Step) -> str:
        return (await step.network(desk, "Work.")).text

    async with layby_running(app) as rt:
        run = await rt.send("desk.opened", {"id": "7"})
        await rt.result()
        assert [each.step for each in (await requests_of(rt, run)).found] == [FIRST]


async def test_a_hook_that_changes_the_request_shows(layby_running: Running) -> None:
    def shout(_: Any, request: ModelRequest) -> ModelRequest:
        loud = Message(role="user", parts=[Text(text="LOUD")])
        return msgspec.structs.replace(request, messages=[loud])

    clerk = Agent("Clerk", on_start=shout)
    desk = Network(
        "desk",
        agents=[clerk],
        router=lambda route: None if route.turns else clerk,
        default_model=Scripted(says("Yes")),
    )
    app = App("desk", networks=[desk])

    @app.workflow(on="desk.opened", key="id")
    async def handle(_: dict[str, Any], step: Step) -> str:
        return (await step.network(desk, "Work.")).text

    async with layby_running(app) as rt:
        run = await rt.send("desk.opened", {"id": "7"})
        await rt.result()
        prompt = await rt.client.prompt(run, FIRST)
    assert [part.text for message in prompt.messages for part in message.parts] == ["LOUD"]


async def test_a_request_without_a_json_form_harms_no_step(
    layby_running: Running, capfd: pytest.CaptureFixture[str]
) -> None:
    class Odd(Scripted):
        @property
        def name(self) -> Any:
            return object()

    async with layby_running(app_with(Odd(says("Yes")))) as rt:
        run = await rt.send("desk.opened", {"id": "7"})
        assert await rt.result() == "Yes"
        assert (await requests_of(rt, run)).found == []
    assert "prompt.not_recorded" in "".join(capfd.readouterr())


async def test_the_record_is_in_the_same_message_as_the_response(layby_running: Running) -> None:
    async with layby_running(app_with(Scripted(says("Yes")))) as rt:
        run = await rt.send("desk.opened", {"id": "7"})
        await rt.result()
        _, messages = await rt.client._load(run)  # pyright: ignore[reportPrivateUsage]
    envelopes = [read(message.data) for message in messages]
    steps = [
        record
        for envelope in envelopes
        if envelope is not None
        for record in envelope.records
        if isinstance(record, Stepped) and record.sent != NULL
    ]
    assert [(step.key, b"Yes" in bytes(step.result)) for step in steps] == [("model#0", True)]


def test_a_prompt_reads_back_from_its_json() -> None:
    prompt = Prompt(form="layby", body={"messages": []})
    assert msgspec.json.decode(msgspec.json.encode(prompt), type=Prompt) == prompt
