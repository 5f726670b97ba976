"""Requests as they are recorded: any sequence of them is read back as it was, and stored once."""

from __future__ import annotations

import string
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.actors.models.marks import NotAsSent, mark, unmark
from layby.actors.models.prompt_book import PromptBook
from layby.bus.log import LogMessage
from layby.bus.log_subject import NOBODY
from layby.runtime.entry import ROOT, Failed, Failure, Raw, Stepped
from layby.runtime.envelope import Envelope, encode, read
from layby.runtime.journal import fold
from layby.runtime.sent import sent_of
from layby.runtime.state import RunState
from layby.views.prompts import NoPrompt, PromptReader

Body = dict[str, Any]
AGENT = "w/desk/turn#0.0"

words = st.text(string.ascii_lowercase + " é\n#=<>~.", max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
blocks = st.fixed_dictionaries({"type": st.just("text"), "text": words})
paragraphs = st.lists(st.sampled_from(["a" * 700, "b" * 1500, "c\n"]), max_size=5)
contents = words | st.lists(blocks | values, max_size=3) | paragraphs.map("\n\n".join) | values
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant"])},
    optional={"content": contents, "parts": contents, "tool_calls": values},
)
bodies = st.fixed_dictionaries(
    {"messages": st.lists(messages | values, max_size=5)},
    optional={
        "system": words | st.lists(blocks, max_size=2),
        "tools": st.lists(values, max_size=3),
        "max_tokens": st.integers(1, 9),
        "model": words,
        "stop": st.lists(words, max_size=2),
    },
)


async def as_it_is(raw: Raw) -> Raw:
    return raw


class Log:
    """A run's log as a worker writes it, with the worker's own view of it."""

    def __init__(self) -> None:
        self.messages: list[LogMessage] = []
        self.state = RunState(id="0" * 20)
        self.size = 0

    def send(self, body: Body, book: PromptBook | None = None, *, fails: bool = False) -> str:
        """Record a request as a worker that knows `book` does; else as one that starts anew."""
        book = book or PromptBook()
        book.catch_up(self.state.sent)
        sent, parts = book.record("anthropic", mark(body))
        if parts:
            sent = msgspec.structs.replace(sent, parts=Raw(msgspec.json.encode(parts)))
        return self.append(Raw(msgspec.json.encode(sent)), fails=fails)

    def append(self, raw: Raw, *, fails: bool = False) -> str:
        n = len(self.messages) + 1
        self.size += len(bytes(raw))
        key = f"model#{n}"
        error = Failure(type="OSError", message="down")
        record: Failed | Stepped = Stepped(frame=AGENT, key=key, sent=raw)
        if fails:
            record = Failed(frame=AGENT, key=key, error=error, retry_at=1.0, sent=raw)
        data = encode(Envelope(op=str(n), at=float(n), records=[record]))
        self.messages.append(LogMessage(n=n, data=data, to=NOBODY))
        envelope = read(data)
        assert envelope is not None
        fold(self.state, n, envelope)
        return str(n)

    async def body(self, step: str) -> Body:
        reader = PromptReader(self.state.id)
        reader.read(self.messages)
        return (await reader.prompt(step, as_it_is)).body


def plain(body: Body) -> Any:
    return msgspec.json.decode(msgspec.json.encode(body))


@given(bodies)
def test_marks_stand_for_the_request(body: Body) -> None:
    marked = mark(body)
    parts = {digest: msgspec.json.decode(raw) for digest, raw in marked.parts.items()}
    assert unmark(marked.marks, parts) == plain(body)


@given(st.lists(bodies, min_size=1, max_size=8), st.data())
async def test_any_sequence_of_requests_is_read_back_exactly(
    sent: list[Body], data: st.DataObject
) -> None:
    """Of workers that know the run, and of some that have just started; some requests repeat."""
    log, book = Log(), PromptBook()
    steps: list[tuple[str, Body]] = []
    for body in sent:
        knows, fails = data.draw(st.booleans()), data.draw(st.booleans())
        steps.append((log.send(body, book if knows else None, fails=fails), body))
        if data.draw(st.booleans()):
            again, _ = data.draw(st.sampled_from([(each, None) for _, each in steps]))
            steps.append((log.send(again), again))
    for step, body in steps:
        assert await log.body(step) == plain(body)


@given(st.lists(bodies, min_size=2, max_size=6))
async def test_workers_that_do_not_see_each_others_records_harm_nothing(sent: list[Body]) -> None:
    """Each writes what it would if it were alone, as when their agents work side by side."""
    log = Log()
    log.send(sent[0])
    known = list(log.state.sent)
    records: list[Raw] = []
    for body in sent[1:]:
        book = PromptBook()
        book.catch_up(known)
        record, parts = book.record("anthropic", mark(body))
        record = msgspec.structs.replace(record, parts=Raw(msgspec.json.encode(parts)))
        records.append(Raw(msgspec.json.encode(record)))
    for raw, body in zip(records, sent[1:], strict=True):
        assert await log.body(log.append(raw)) == plain(body)


def conversation(count: int) -> Iterable[Body]:
    system = [{"type": "text", "text": "Help. " * 50}]
    tools = [{"name": f"tool{n}", "input_schema": {"type": "object"}} for n in range(5)]
    said: list[Body] = []
    for n in range(count):
        asked = f"What about number {n}, which is another one? {'x' * 200}"
        said = [*said, {"role": "user", "content": [{"type": "text", "text": asked}]}]
        yield {"model": "m", "system": system, "tools": tools, "messages": said}
        said = [*said, {"role": "assistant", "content": [{"type": "text", "text": f"It is {n}"}]}]


def size_of(sent: Iterable[Body]) -> int:
    log, book = Log(), PromptBook()
    for body in sent:
        log.send(body, book)
    return log.size


def test_what_is_stored_grows_with_the_conversation_and_not_with_its_square() -> None:
    short, long = size_of(conversation(40)), size_of(conversation(80))
    assert long < 2.1 * short
    whole = sum(len(msgspec.json.encode(body)) for body in conversation(80))
    assert long < whole / 20


def test_a_text_that_grows_is_stored_once_too() -> None:
    """An adapter may write several messages as one text."""

    def growing(count: int) -> Iterable[Body]:
        text = "\n\n".join(f"{n}: {'x' * 300}" for n in range(count))
        yield from (
            {"messages": [{"role": "user", "content": text[: 302 * n]}]} for n in range(1, count)
        )

    assert size_of(growing(160)) < 2.5 * size_of(growing(80))


def test_a_request_that_is_sent_again_costs_its_digest() -> None:
    log, book = Log(), PromptBook()
    [body] = conversation(1)
    log.send(body, book, fails=True)
    first = log.size
    log.send(body, book)
    assert first > 1000
    assert log.size - first < 100


def test_two_agents_share_their_tools() -> None:
    log, book = Log(), PromptBook()
    tools = [{"name": "look", "description": "x" * 5000}]
    log.send({"system": "You are Ada.", "tools": tools, "messages": ["hello"]}, book)
    log.send({"system": "You are Bob.", "tools": tools, "messages": ["bye"]}, book)
    assert 5000 < log.size < 6000


async def test_a_record_that_cannot_be_read_hides_no_other() -> None:
    log, book = Log(), PromptBook()
    [body] = conversation(1)
    first = log.send(body, book)
    log.append(Raw(b'{"id": 7}'))
    log.append(Raw(b'"of a later release"'))
    assert [each.id for each in log.state.sent] == [mark(body).id]
    assert await log.body(first) == body
    with pytest.raises(NoPrompt, match=r"no record that .2. asked a model; these do: 1\.0"):
        await log.body("2")


async def test_a_damaged_record_is_not_shown() -> None:
    log, book = Log(), PromptBook()
    first = log.send({"messages": ["hello"]}, book)
    envelope = read(log.messages[0].data)
    assert envelope is not None
    [record] = envelope.records
    assert isinstance(record, Stepped)
    forged = Raw(bytes(record.sent).replace(b"hello", b"adieu"))
    found = sent_of(forged)
    assert found is not None
    other = Log()
    other.append(forged)
    with pytest.raises(NoPrompt, match="lacks a part"):
        await other.body(first)
    with pytest.raises(NotAsSent):
        unmark({"messages": [".nothing"]}, {})


def test_a_step_of_the_workflow_has_none() -> None:
    assert sent_of(Stepped(frame=ROOT, key="look").sent) is None
