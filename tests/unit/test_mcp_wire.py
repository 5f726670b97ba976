"""What MCP servers send, as models and people get it."""

from __future__ import annotations

from typing import Any, cast

import pytest

pytest.importorskip("mcp")

from mcp import types

from layby.runtime.errors import InvalidSetup
from layby.tools.errors import InvalidArguments, ToolError
from layby.tools.mcp_link import Endpoint
from layby.tools.mcp_wire import (
    Listed,
    Wanted,
    arguments_of,
    ask_person,
    name_of,
    reply_of,
    wanted_of,
)

PNG = "aGVsbG8="


class Answer:
    def __init__(self, value: Any) -> None:
        self.value = value


class People:
    """Stands for a `ToolContext` and its step: answers in turn, and remembers what was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = [*answers]
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.agent = "Clerk"
        self.step = self

    async def ask(self, role: str, question: str, **more: Any) -> Answer:
        self.asked.append((role, question, more))
        return Answer(self.answers.pop(0))


async def ask(people: People, *requests: dict[str, Any], **more: Any) -> Any:
    wanted = Wanted(asked={f"k{number}": request for number, request in enumerate(requests)})
    return await ask_person(cast("Any", people), "developer", wanted, **more)


def form(**fields: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": fields}
    params = {"mode": "form", "message": "Which?", "requestedSchema": schema}
    return {"method": "elicitation/create", "params": params}


def result(*content: Any, **more: Any) -> types.CallToolResult:
    return types.CallToolResult(content=[*content], **more)


def listed(**parameters: Any) -> Listed:
    return Listed(name="add", description="Adds.", parameters=parameters)


# -- names and arguments -----------------------------------------------------------------------


def test_a_long_name_stays_within_what_models_take_and_is_not_that_of_another() -> None:
    one, other = name_of("desk", "a" * 80 + "1"), name_of("desk", "a" * 80 + "2")
    assert len(one) == len(other) == 64
    assert one != other
    assert name_of("desk", "a" * 59) == "desk-" + "a" * 59


def test_odd_characters_of_a_tool_are_replaced() -> None:
    assert name_of("desk", "files.read/all") == "desk-files_read_all"


@pytest.mark.parametrize("server", ["", "a b", "x" * 41, "dé"])
def test_a_bad_name_of_a_server_is_refused(server: str) -> None:
    with pytest.raises(InvalidSetup, match="use 1 to 40 letters"):
        name_of(server, "add")


def test_good_arguments_pass_unchanged() -> None:
    given = {"a": 1, "more": [1, 2]}
    assert arguments_of(listed(properties={"a": {"type": "integer"}})).check("add", given) == given


def test_bad_arguments_are_explained_to_the_model_a_few_at_a_time() -> None:
    fields = {name: {"type": "integer"} for name in "abcdefgh"}
    inner = {"type": "object", "properties": {"deep": {"type": "integer"}}}
    arguments = arguments_of(listed(properties={**fields, "in": inner}))
    with pytest.raises(InvalidArguments) as refused:
        arguments.check("add", dict.fromkeys("abcdefgh", "x" * 1_000))
    first, *problems = str(refused.value).splitlines()
    assert first == "invalid arguments for add:"
    assert len(problems) == 5
    assert max(map(len, problems)) < 220
    with pytest.raises(InvalidArguments, match=r"- in\.deep: 'x' is not of type 'integer'"):
        arguments.check("add", {"in": {"deep": "x"}})


def test_a_missing_argument_is_not_one_of_the_arguments() -> None:
    arguments = arguments_of(listed(properties={}, required=["a"]))
    with pytest.raises(InvalidArguments, match="- arguments: 'a' is a required property"):
        arguments.check("add", {})


def test_an_invalid_schema_lets_everything_pass() -> None:
    arguments = arguments_of(listed(properties={"a": {"type": "nonsense"}}))
    assert arguments.check("add", {"a": "anything"}) == {"a": "anything"}
    assert arguments.schema == {"type": "object", "properties": {}}


# -- results -----------------------------------------------------------------------------------


def test_each_kind_of_content_becomes_text() -> None:
    file = types.TextResourceContents(uri="file:///a", text="in the file")
    blob = types.BlobResourceContents(uri="file:///b", blob=PNG)
    reply = reply_of(
        result(
            types.TextContent(type="text", text="Done."),
            types.TextContent(type="text", text=""),
            types.ImageContent(type="image", data=PNG, mime_type="image/png"),
            types.AudioContent(type="audio", data=PNG, mime_type="audio/wav"),
            types.ResourceLink(type="resource_link", name="Log", uri="file:///log"),
            types.EmbeddedResource(type="resource", resource=file),
            types.EmbeddedResource(type="resource", resource=blob),
        )
    )
    assert reply.text.splitlines() == [
        "Done.",
        "[image image/png, 6 bytes]",
        "[audio audio/wav, 6 bytes]",
        "[Log: file:///log]",
        "in the file",
        "[resource file:///b]",
    ]
    assert not reply.is_error


def test_structured_content_counts_where_there_is_no_text() -> None:
    assert reply_of(result(structured_content={"größe": 1})).text == '{"größe": 1}'
    text = types.TextContent(type="text", text="1")
    assert reply_of(result(text, structured_content={"a": 1})).text == "1"
    assert reply_of(result()).text == ""


def test_an_error_stays_one() -> None:
    text = types.TextContent(type="text", text="no")
    assert reply_of(result(text, is_error=True)).is_error


def test_a_request_for_input_is_recorded_as_json() -> None:
    params = types.ElicitRequestFormParams(message="Which?", requested_schema={"type": "object"})
    required = types.InputRequiredResult(
        input_requests={"k": types.ElicitRequest(params=params)}, request_state="note"
    )
    wanted = wanted_of(required)
    assert wanted.state == "note"
    assert wanted.asked["k"]["method"] == "elicitation/create"
    assert wanted.asked["k"]["params"]["requestedSchema"] == {"type": "object"}
    assert wanted_of(types.InputRequiredResult(request_state="later")).asked == {}


# -- people ------------------------------------------------------------------------------------


async def test_the_only_field_is_answered_with_its_value() -> None:
    people = People(7)
    request = form(amount={"type": "integer", "description": "In euros"})
    assert await ask(people, request) == {"k0": {"action": "accept", "content": {"amount": 7}}}
    [(role, question, more)] = people.asked
    assert (role, question, more["agent"]) == ("developer", "Which?", "Clerk")
    assert more["name"] == "elicit k0"
    [shown] = more["answer"].__metadata__
    amount = request["params"]["requestedSchema"]["properties"]["amount"]
    assert shown.json_schema["anyOf"] == [
        {"const": "decline"},
        request["params"]["requestedSchema"],
        amount,
    ]
    assert more["context"] == (
        "Wanted: amount (integer): In euros. Answer with its value, or 'decline'."
    )


async def test_several_fields_are_answered_with_an_object() -> None:
    people = People({"a": 1, "b": "x"})
    responses = await ask(people, form(a={"type": "integer"}, b={}), confidential=True)
    assert responses == {"k0": {"action": "accept", "content": {"a": 1, "b": "x"}}}
    [(_, _, more)] = people.asked
    assert more["context"].startswith("Wanted: a (integer); b (text). Answer with a JSON object")
    assert more["confidential"] is True


async def test_a_page_to_go_to_is_named_and_answered_without_content() -> None:
    params = {"mode": "url", "message": "Log in", "url": "https://example.com/in"}
    people = People("done", "decline")
    request = {"method": "elicitation/create", "params": params}
    assert await ask(people, request, request) == {
        "k0": {"action": "accept"},
        "k1": {"action": "decline"},
    }
    assert "https://example.com/in" in people.asked[0][2]["context"]


async def test_a_person_may_decline_any_form() -> None:
    assert await ask(People("decline"), form(a={})) == {"k0": {"action": "decline"}}


async def test_what_needs_a_model_of_ours_is_refused_before_anybody_is_asked() -> None:
    people = People()
    with pytest.raises(ToolError, match="sampling/createMessage, which Layby does not support"):
        await ask(people, {"method": "sampling/createMessage"})
    assert people.asked == []


async def test_a_server_that_asks_for_nothing_gets_nothing() -> None:
    assert await ask(People()) is None


# -- secrets -----------------------------------------------------------------------------------


def test_a_message_shows_no_secret_even_where_one_holds_another() -> None:
    endpoint = Endpoint(
        name="desk",
        command=("serve", "--token=abcd"),
        env={"TOKEN": "abcd", "LONG": "abcd-efgh", "ON": "1"},
        headers={"Authorization": "Bearer abcd"},
    )
    message = "1 serve: abcd-efgh, Bearer abcd, abcd and --token=abcd"
    assert endpoint.without_secrets(message) == "1 serve: ***, ***, *** and ***"
    assert "abcd" not in repr(endpoint)
