"""What goes to Anthropic's Messages API, and what is read from its messages, without a server."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.actors.models.anthropic_errors import explain
from layby.actors.models.anthropic_wire import (
    cached,
    read_message,
    write_messages,
    write_request,
)
from layby.actors.models.model import Part
from layby.models import (
    Document,
    Image,
    Message,
    ModelError,
    ModelRequest,
    Opaque,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
)
from layby.runtime.blockers import MISSING_KEY, REFUSED_KEY, SPENT_BUDGET

LOOK = ToolSpec(name="look", description="Look it up", parameters={"type": "object"})
BARE = ToolSpec(name="bare", description="", parameters={"type": "object"})
MARK = {"cache_control": {"type": "ephemeral"}}
THOUGHT = Opaque(provider="anthropic", data={"type": "thinking", "thinking": "h", "signature": "s"})


def user(*parts: Part) -> Message:
    return Message(role="user", parts=list(parts))


def assistant(*parts: Part) -> Message:
    return Message(role="assistant", parts=list(parts))


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        ("auto", {"type": "auto"}),
        ("any", {"type": "any"}),
        ("none", {"type": "none"}),
        ("look", {"type": "tool", "name": "look"}),
    ],
)
def test_the_choice_of_a_tool_in_the_words_of_the_api(choice: str, written: Any) -> None:
    fields = write_request(ModelRequest(system="", messages=[], tools=[LOOK], tool_choice=choice))
    assert fields["tool_choice"] == written


def test_a_request_has_no_empty_fields() -> None:
    assert write_request(ModelRequest(system="", messages=[])) == {"messages": []}
    (tool,) = write_request(ModelRequest(system="", messages=[], tools=[BARE]))["tools"]
    assert tool == {"name": "bare", "input_schema": {"type": "object"}}


def test_the_mark_for_the_cache_is_on_the_last_block_of_what_stays_the_same() -> None:
    both = write_request(ModelRequest(system="Be kind", messages=[], tools=[LOOK, BARE]))
    tools = write_request(ModelRequest(system="", messages=[], tools=[LOOK, BARE]))
    neither = write_request(ModelRequest(system="", messages=[]))
    assert cached(both, top_level=True) == {**MARK, **both}
    marked = cached(both, top_level=False)
    assert marked["system"] == [{"type": "text", "text": "Be kind", **MARK}]
    assert marked["tools"] == both["tools"]
    assert cached(tools, top_level=False)["tools"] == [
        tools["tools"][0],
        {**tools["tools"][1], **MARK},
    ]
    assert cached(neither, top_level=False) == neither


def test_a_request_is_not_changed_by_its_mark() -> None:
    fields = write_request(ModelRequest(system="Be kind", messages=[]))
    cached(fields, top_level=False)
    assert fields["system"] == [{"type": "text", "text": "Be kind"}]


def test_results_come_first_in_their_turn_and_the_rest_keeps_its_order() -> None:
    said = [
        assistant(ToolCall(id="1", name="look", arguments={"of": "it"})),
        user(Text(text="a"), Image(url="https://a.test/i.png")),
        user(ToolResult(id="1", name="look", content="no", is_error=True), Text(text="b")),
    ]
    asks, answers = write_messages(said)
    assert asks["content"] == [
        {"type": "tool_use", "id": "1", "name": "look", "input": {"of": "it"}}
    ]
    assert [block["type"] for block in answers["content"]] == [
        "tool_result",
        "text",
        "image",
        "text",
    ]
    assert answers["content"][0]["is_error"] is True


def test_a_result_without_an_error_does_not_say_so() -> None:
    (turn,) = write_messages([user(ToolResult(id="1", name="look", content="ok"))])
    assert turn["content"] == [{"type": "tool_result", "tool_use_id": "1", "content": "ok"}]


PARTS = st.one_of(
    st.builds(Text, text=st.sampled_from(["", " ", "a"])),
    st.builds(ToolResult, id=st.just("1"), name=st.just("t"), content=st.just("c")),
    st.just(THOUGHT),
    st.just(Opaque(provider="openai", data={"type": "x"})),
)


@given(
    st.lists(
        st.builds(
            Message, role=st.sampled_from(["user", "assistant"]), parts=st.lists(PARTS, max_size=4)
        )
    )
)
def test_any_conversation_becomes_turns_that_the_api_takes(said: list[Message]) -> None:
    turns = write_messages(said)
    roles = [turn["role"] for turn in turns]
    assert all(one != other for one, other in itertools.pairwise(roles))
    for turn in turns:
        kinds = [block["type"] for block in turn["content"]]
        assert kinds
        results = [kind == "tool_result" for kind in kinds]
        assert results == sorted(results, reverse=True)
        assert all(block["text"].strip() for block in turn["content"] if block["type"] == "text")


def test_a_thought_goes_back_only_with_what_follows_it() -> None:
    (turn,) = write_messages([assistant(THOUGHT, Text(text="a"), THOUGHT, THOUGHT)])
    assert [block["type"] for block in turn["content"]] == ["thinking", "text"]
    assert write_messages([assistant(THOUGHT)]) == []


def test_the_parts_of_other_providers_and_reasons_of_refusals_stay_here() -> None:
    other = Opaque(provider="openai", data={"type": "reasoning"})
    refusal = Opaque(provider="anthropic", data={"type": "refusal"})
    assert write_messages([assistant(other, refusal)]) == []


@pytest.mark.parametrize(
    ("part", "kind", "source", "title"),
    [
        (Image(url="https://a.test/i"), "image", {"type": "url", "url": "https://a.test/i"}, None),
        (
            Image(data=b"\x89PNG\r\n"),
            "image",
            {"type": "base64", "media_type": "image/png", "data": "iVBORw0K"},
            None,
        ),
        (
            Document(data=b"a,b", media_type="text/csv", name="t.csv"),
            "document",
            {"type": "text", "media_type": "text/plain", "data": "a,b"},
            "t.csv",
        ),
        (
            Document(data=b"%PDF-"),
            "document",
            {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
            None,
        ),
    ],
)
def test_each_attachment_in_the_form_that_the_api_takes(
    part: Image | Document, kind: str, source: dict[str, str], title: str | None
) -> None:
    (turn,) = write_messages([user(part)])
    (block,) = turn["content"]
    assert (block["type"], block["source"], block.get("title")) == (kind, source, title)


# -- reading ---------------------------------------------------------------------------------------

USED = SimpleNamespace(
    input_tokens=3,
    output_tokens=4,
    cache_read_input_tokens=None,
    cache_creation_input_tokens=5,
)


def block(type: str, **fields: Any) -> Any:  # noqa: A002
    return SimpleNamespace(type=type, to_dict=lambda: {"type": type, **fields}, **fields)


def sent(*blocks: Any, stop: str | None = "end_turn", details: Any = None) -> Any:
    return SimpleNamespace(
        content=list(blocks), stop_reason=stop, usage=USED, model="claude", stop_details=details
    )


CALL = block("tool_use", id="1", name="look", input={"a": 1})


@pytest.mark.parametrize(
    ("stop", "reason", "calls"),
    [
        ("end_turn", "tool_use", 1),  # some servers that imitate the API
        ("tool_use", "tool_use", 1),
        ("pause_turn", "pause", 1),
        ("stop_sequence", "stop_sequence", 1),
        ("max_tokens", "max_tokens", 0),
        ("refusal", "refusal", 0),
        ("model_context_window_exceeded", "context_window", 0),
    ],
)
def test_only_a_whole_response_keeps_its_calls(stop: str, reason: str, calls: int) -> None:
    response = read_message(sent(block("text", text="Hm"), CALL, stop=stop))
    assert response.stop_reason == reason
    assert len(response.message.tool_calls) == calls
    assert response.message.text == "Hm"


@pytest.mark.parametrize("stop", [None, "tired"])
def test_an_unknown_reason_to_stop_says_what_to_update(stop: str | None) -> None:
    with pytest.raises(ModelError, match=f"unknown reason, {stop!r}; update layby"):
        read_message(sent(stop=stop))


def test_thoughts_are_kept_if_they_are_whole() -> None:
    whole = block("thinking", thinking="Hm", signature="s")
    cut = block("thinking", thinking="Hm", signature="")
    hidden = block("redacted_thinking", data="x")
    parts = read_message(sent(whole, cut, hidden, block("text", text=""))).message.parts
    assert [part.data["type"] for part in parts if isinstance(part, Opaque)] == [
        "thinking",
        "redacted_thinking",
    ]
    assert len(parts) == 2


def test_the_reason_of_a_refusal_is_kept_for_people() -> None:
    details = SimpleNamespace(to_dict=lambda: {"type": "policy", "category": "bio"})
    (kept,) = read_message(sent(stop="refusal", details=details)).message.parts
    assert kept == Opaque(provider="anthropic", data={"type": "refusal", "category": "bio"})


def test_tokens_of_the_cache_are_counted_apart() -> None:
    used = read_message(sent()).usage
    assert (used.input_tokens, used.output_tokens) == (3, 4)
    assert (used.cache_read_tokens, used.cache_write_tokens) == (0, 5)


# -- errors ----------------------------------------------------------------------------------------


class APIStatusError(Exception):
    """As the SDK names it."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__("raw")
        self.status_code = status
        self.body = body
        self.response = SimpleNamespace(headers=headers or {})


class APIConnectionError(Exception):
    """As the SDK names it."""


class CredentialsError(Exception):
    """As the SDK names it."""


def explained(error: Exception, *, reading: bool = False, hide: tuple[str, ...] = ()) -> ModelError:
    found = explain(error, "claude", reading=reading, hide=hide)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("status", "said", "need"),
    [
        (400, "refused the request to 'claude'", None),
        (401, "set ANTHROPIC_API_KEY to a valid one", REFUSED_KEY),
        (402, "see its billing page", SPENT_BUDGET),
        (403, "may not use 'claude'", REFUSED_KEY),
        (404, "has no model 'claude': check its name", None),
        (413, "send a shorter conversation", None),
        (429, "the rate limit of 'claude' is reached", None),
        (529, "Anthropic is overloaded", None),
        (503, "Anthropic failed with status 503", None),
    ],
)
def test_each_status_says_what_to_do(status: int, said: str, need: Any) -> None:
    error = explained(APIStatusError(status, {"error": {"message": "because"}}))
    assert said in str(error)
    assert str(error).endswith(": because")
    assert error.need is need


@pytest.mark.parametrize(
    ("kind", "retryable", "bad_request"),
    [
        ("overloaded_error", True, False),
        ("rate_limit_error", True, False),
        ("timeout_error", True, False),
        ("invalid_request_error", False, True),
        ("authentication_error", False, False),
        ("never seen", True, False),
    ],
)
def test_an_error_in_the_middle_of_a_response_is_judged_by_its_type(
    kind: str, *, retryable: bool, bad_request: bool
) -> None:
    error = explained(APIStatusError(200, {"error": {"type": kind}}), reading=True)
    assert (error.retryable, error.bad_request) == (retryable, bad_request)


def test_an_account_without_credit_is_not_a_bad_request() -> None:
    body = {"error": {"type": "invalid_request_error", "message": "Your Credit balance is too low"}}
    error = explained(APIStatusError(400, body))
    assert error.need is SPENT_BUDGET
    assert not error.bad_request


@pytest.mark.parametrize("body", [None, "<html>", [], {}, {"error": "no"}, {"error": None}, 7])
def test_a_proxy_may_answer_anything(body: Any) -> None:
    error = explained(APIStatusError(502, body, {"request-id": "req_7"}))
    assert str(error) == "Anthropic failed with status 502: (request req_7)"
    assert error.retryable


def test_a_secret_in_the_providers_message_is_not_shown() -> None:
    error = explained(APIStatusError(400, {"error": {"message": "bad sk-1"}}), hide=("sk-1",))
    assert "sk-1" not in str(error)


def test_what_breaks_off_a_response_is_not_a_failed_connection() -> None:
    assert "broke off (APIConnectionError)" in str(explained(APIConnectionError(), reading=True))
    assert "cannot be reached" in str(explained(APIConnectionError()))


@pytest.mark.parametrize(
    "error",
    [CredentialsError("none found"), TypeError("Could not resolve authentication method")],
)
def test_without_a_key_people_are_told_which_variable_to_set(error: Exception) -> None:
    found = explained(error)
    assert "set ANTHROPIC_API_KEY" in str(found)
    assert found.need is MISSING_KEY


@pytest.mark.parametrize("error", [TypeError("other"), ValueError("authentication method")])
def test_a_mistake_of_the_program_stays_what_it_is(error: Exception) -> None:
    assert explain(error, "claude", reading=False) is None
