"""The detail of a row: everything that the log says of it, and nothing that a page cannot hold."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from layby.actors.models.model import Message, ModelResponse, ToolCall, Usage
from layby.bus.errors import ValueLost
from layby.client import Client
from layby.console.waterfall.detail import Detail, detail, is_response
from layby.console.waterfall.node import Node
from layby.console.waterfall.section import CUT, json_text, maybe_json, text
from layby.runtime.code_place import Place
from layby.runtime.entry import (
    ROOT,
    Answered,
    Arrived,
    Awaited,
    Blocked,
    Cancelled,
    Ended,
    Failure,
    Joined,
    Raw,
    Returned,
    Slept,
    Spawned,
    Stepped,
    Woken,
)
from tests.unit.test_waterfall_outline import outcome, response
from tests.waterfall_log import TURN, WrittenLog, asked, network, stepped, tried, turn

HOSTILE = "<script>harm()</script>\u202e\x1b[2J\x00"


class Blobs:
    """Values that are fetched; one of them is lost."""

    async def inflated(self, raw: msgspec.Raw) -> msgspec.Raw:
        if b"$blob" in bytes(raw):
            raise ValueLost("it was purged")
        return raw


async def of(log: WrittenLog, node: Node | str) -> Detail:
    """The detail of a row."""
    row = log.node(node) if isinstance(node, str) else node
    client = cast("Client", SimpleNamespace(logs=Blobs()))
    return await detail(client, log.run, row)


def shown(found: Detail, section: str) -> list[tuple[str, str]]:
    """The values of a section."""
    return [
        (name, value.text)
        for each in found.sections
        if each.id == section
        for name, value in each.values
    ]


async def test_the_first_row_shows_the_event_and_the_result() -> None:
    log = WrittenLog(Ended(status="completed", result=Raw(b'{"ok": true}')))
    found = await of(log, "desk")
    assert shown(found, "input") == [("", '{\n  "id": 1\n}')]
    assert shown(found, "output") == [("", '{\n  "ok": true\n}')]
    assert [name for name, _ in shown(found, "entry")] == ["1.0", "2.0"]


async def test_a_step_shows_what_it_returned_and_text_as_text() -> None:
    log = WrittenLog(stepped("a", {"b": 1}), stepped("c", "two\nlines"))
    assert shown(await of(log, "a"), "output") == [("", '{\n  "b": 1\n}')]
    assert shown(await of(log, "c"), "output") == [("", "two\nlines")]


async def test_a_failure_and_the_tries_before_it_are_distinguished() -> None:
    place = Place(file="shop/app.py", line=7, function="pay")
    error = Failure(type="OSError", message="no line", attempts=2, place=place, causes=["EOF"])
    log = WrittenLog(tried("pay", 60.0), Woken(frame=ROOT, key="pay"))
    log.add(Stepped(frame=ROOT, key="pay", error=error))
    found = await of(log, "pay")
    assert found.failure == error
    [attempt] = found.attempts
    assert (attempt.worker, found.worker) == ("wk2", "wk4")
    assert (attempt.error, attempt.message) == ("OSError", "no line")
    assert attempt.again_at.startswith("1970-01-01T00:01:00")


async def test_a_model_shows_its_response_its_calls_and_its_tokens() -> None:
    log = WrittenLog(network(), turn(), response("model#0", "search", text="I look."))
    found = await of(log, "gpt")
    assert (found.model, found.agent, found.tokens.tokens) == ("gpt", "Anna", 12)
    [section] = [each for each in found.sections if each.id == "response"]
    assert [(said.who, said.value.text) for said in section.said] == [
        ("assistant", "I look."),
        ("assistant, calls search", "{}"),
    ]
    assert section.small == "stop: tool_use"


async def test_a_tool_shows_its_arguments_before_it_is_done_and_both_after() -> None:
    said = ModelResponse(
        message=Message(
            role="assistant", parts=[ToolCall(id="c1", name="search", arguments={"q": "x"})]
        ),
        stop_reason="tool_use",
        usage=Usage(),
    )
    log = WrittenLog(network(), turn(), stepped("model#0", said, frame=TURN))
    assert shown(await of(log, "search"), "tools") == [("Arguments", '{\n  "q": "x"\n}')]
    log.add(outcome("tool#0.0"))
    found = await of(log, "search")
    assert shown(found, "tools") == [("Arguments", '{\n  "q": "x"\n}'), ("Result", "done")]


async def test_a_tool_shows_the_arguments_that_a_person_gave_it_and_its_error() -> None:
    log = WrittenLog(network(), turn(), response("model#0", "search"))
    log.add(outcome("tool#0.0", is_error=True, arguments={"q": "y"}))
    found = await of(log, "search")
    assert shown(found, "tools") == [
        ("Arguments", '{\n  "q": "y"\n}'),
        ("Error, as the model gets it", "done"),
    ]


async def test_what_a_model_says_now_is_shown_while_it_speaks() -> None:
    log = WrittenLog(network(), turn())
    log.run.texts["team/turn#0.0/model#0"] = "Hel"
    found = await of(log, log.run.live[0])
    [section] = [each for each in found.sections if each.id == "response"]
    assert [(said.who, said.value.text) for said in section.said] == [
        ("assistant, still speaking", "Hel")
    ]
    assert found.agent == "Anna"


async def test_each_kind_of_wait_shows_what_it_waits_for_and_what_came() -> None:
    log = WrittenLog(
        Slept(frame=ROOT, key="nap", until=60.0),
        Awaited(frame=ROOT, key="paid", subject="shop.paid", match={"order": 1}),
        Arrived(frame=ROOT, key="paid", event=Raw(b'{"order": 1}')),
        Spawned(frame=ROOT, key="child", run="c" * 20, workflow="bill", event=Raw(b"2")),
        Joined(frame=ROOT, key="child", result=Raw(b'"paid"')),
    )
    assert shown(await of(log, "nap"), "input")[0][1].startswith("1970-01-01T00:01:00")
    paid = await of(log, "paid")
    assert shown(paid, "input") == [("shop.paid", '{\n  "order": 1\n}')]
    assert shown(paid, "output") == [("", '{\n  "order": 1\n}')]
    bill = await of(log, "bill")
    assert (shown(bill, "input"), shown(bill, "output")) == ([("", "2")], [("", "paid")])


async def test_a_question_shows_what_was_asked_and_answered() -> None:
    log = WrittenLog(asked(context="Since Monday", form={"type": "string"}))
    log.add(Answered(id="q1", text="yes", by="ada"))
    found = await of(log, "developer")
    assert shown(found, "input") == [
        ("", "Well?"),
        ("Context", "Since Monday"),
        ("Form of the answer", '{\n  "type": "string"\n}'),
    ]
    assert shown(found, "output") == [("ada", "yes")]


async def test_a_frame_shows_its_input_and_its_result_or_failure() -> None:
    log = WrittenLog(network(input=Raw(b'{"input": "go"}')), turn())
    log.add(Returned(frame=TURN, error=Failure(type="StepFailed", message="it broke")))
    log.add(Returned(frame="w/team", result=Raw(b'{"text": "x"}')))
    assert shown(await of(log, "team"), "input") == [("", '{\n  "input": "go"\n}')]
    assert shown(await of(log, "team"), "output") == [("", '{\n  "text": "x"\n}')]
    failure = (await of(log, "Anna")).failure
    assert failure is not None
    assert failure.message == "it broke"


async def test_what_stopped_a_run_is_shown_on_its_rows() -> None:
    log = WrittenLog(network(), turn())
    log.add(Blocked(cause=3, frame=TURN, kind="setup", reason="no model", needs="give it one"))
    blocked = await of(log, "Anna")
    assert shown(blocked, "error") == [("", "no model")]
    [section] = [each for each in blocked.sections if each.id == "error"]
    assert (section.small, section.note) == ("setup", "give it one")
    log.add(Cancelled(by="ada"))
    cancelled = await of(log, log.root)
    assert shown(cancelled, "error") == [("", "no reason given")]
    timed_out = WrittenLog(Ended(status="timed_out", error="too late"))
    assert shown(await of(timed_out, timed_out.root), "error") == [("", "too late")]


async def test_a_value_that_is_lost_says_so_and_hides_nothing_else() -> None:
    log = WrittenLog(stepped("a", {"$blob": "abc", "size": 1}))
    [(_, said)] = shown(await of(log, "a"), "output")
    assert said == "(not available: it was purged)"


async def test_a_response_that_cannot_be_read_is_shown_as_it_is() -> None:
    log = WrittenLog(network(), turn())
    log.add(Stepped(frame=TURN, key="model#0", result=Raw(b'{"message": 7}'), ms=1.0))
    found = await of(log, "model")
    assert shown(found, "output") == [("", '{\n  "message": 7\n}')]
    assert found.tokens is None


async def test_of_many_entries_the_first_are_shown() -> None:
    log = WrittenLog()
    for number in range(30):
        log.add(tried("pay", 1_000.0, attempts=number + 1))
    found = await of(log, "pay")
    assert len(shown(found, "entry")) == 20
    assert found.sections[-1].small == "30"


async def test_a_long_value_is_cut_and_leads_to_all_of_it() -> None:
    log = WrittenLog(stepped("a", "x" * (CUT + 1)), stepped("b", ["y" * CUT]))
    for name, record in (("a", "2.0"), ("b", "3.0")):
        [section] = [each for each in (await of(log, name)).sections if each.id == "output"]
        [(_, value)] = section.values
        assert len(value.text) == CUT
        assert value.whole == record


@pytest.mark.parametrize("size", [CUT - 1, CUT, CUT + 1])
def test_a_text_is_cut_only_beyond_the_limit(size: int) -> None:
    cut = size > CUT
    for value in (text("x" * size, "1.0"), json_text(b'"' + b"x" * size + b'"', "1.0")):
        assert len(value.text) == min(size, CUT)
        assert value.whole == ("1.0" if cut else "")


def test_a_text_that_may_be_json_is_indented_if_it_is() -> None:
    assert maybe_json('{"a":1}', "1.0").text == '{\n  "a": 1\n}'
    assert maybe_json("{no json", "1.0").text == "{no json"
    assert maybe_json("[" * (CUT + 9), "1.0").whole == "1.0"


def test_a_cut_within_a_character_breaks_nothing() -> None:
    value = json_text(b'["x' + "é".encode() * CUT + b'"]', "1.0")
    assert value.whole == "1.0"
    assert value.text.startswith('["xé'), "so much is not indented"
    assert value.text.endswith("é\ufffd")


async def test_hostile_text_is_kept_for_the_template_to_escape() -> None:
    log = WrittenLog(stepped(HOSTILE, HOSTILE))
    found = await of(log, HOSTILE)
    assert shown(found, "output") == [("", HOSTILE)]
    assert all(HOSTILE not in value for _, value in shown(found, "entry")), "JSON escapes it"


async def test_a_part_of_a_log_that_is_gone_leaves_the_rest() -> None:
    log = WrittenLog(stepped("a"))
    node = log.node("a")
    log.run.messages.clear()
    found = await of(log, node)
    assert shown(found, "entry") == []


def test_the_key_of_a_response_is_known() -> None:
    assert is_response("model#0")
    assert is_response("route#1/model#0")
    assert not is_response("tool#0.0")
    assert not is_response("model#0/x")


async def test_an_answer_that_does_not_count_is_shown_as_one() -> None:
    log = WrittenLog(asked())
    log.add(Answered(id="q1", text="yes", by="ada"))
    log.add(Answered(id="q1", text="no", by="bob"))
    answers = [each for each in (await of(log, "developer")).sections if each.id == "output"]
    assert [each.first for each in answers] == [True, False]
    assert [each.title for each in answers] == ["Answer", "Answer that does not count"]
    assert answers[1].note == "the question was closed before"
