"""What is known of one row: its records as sections of a page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ...actors.keys import MODEL, Key
from ...actors.models.model import Message, ModelResponse, Opaque, Text, ToolCall, ToolResult
from ...actors.threads.turn import CallOutcome
from ...bus.errors import BusError
from ...client import Client
from ...runtime import entry
from ...runtime.entry import NULL, Failure, Record
from ...runtime.times import iso
from ...runtime.values import BadValue, load
from .node import Node
from .prompt_section import prompt_section
from .section import Said, Section, Value, json_text, maybe_json, text, value_text
from .state_changes import state_section
from .watched import WatchedRun

_MOST_ENTRIES = 20


@dataclass(slots=True, kw_only=True)
class Attempt:
    """A try that failed."""

    at: str
    error: str
    message: str
    place: str
    again_at: str = ""
    worker: str = ""


@dataclass(slots=True, kw_only=True)
class Detail:
    """The detail of a row.

    Attributes:
        node: The row.
        agent: The agent, network or workflow that it belongs to.
        failure: How it failed, if it did.
        attempts: The tries that failed and were repeated.
        worker: Names the process that recorded how it ended, or what it waits for.
        tokens: What it used; None: it asked no model.
        model: The model's name.
        sections: What is known of it.
    """

    node: Node
    agent: str = ""
    worker: str = ""
    failure: Failure | None = None
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    tokens: Any = None
    model: str = ""
    sections: list[Section] = field(default_factory=list[Section])


async def detail(client: Client, run: WatchedRun, node: Node) -> Detail:
    """Everything that the log says of a row."""
    found = Detail(node=node, agent=_owner(node))
    if node.kind == "model":
        await _add_prompt(client, run, found)
    reader = _Reader(client, run, found)
    for number, at, record in records(run, node):
        await reader.read(number, at, record)
    if text_now := run.text_of(node):
        said = Said("assistant, still speaking", text(text_now, ""), "new")
        found.sections.append(Section(id="response", title="Response", said=[said]))
    found.worker = _worker(run, node.records[-1][0]) if node.records else ""
    found.sections += state_section(run, node)
    found.sections.append(_entries(run, node))
    seen: set[str] = set()
    for section in found.sections:
        section.first = section.id not in seen
        seen.add(section.id)
    return found


async def _add_prompt(client: Client, run: WatchedRun, found: Detail) -> None:
    """Put what the model was sent first: the newest request, if it was tried several times."""
    for number, _, _ in reversed(list(records(run, found.node))):
        section = await prompt_section(client, run, number)
        if section is not None:
            found.sections.append(section)
            return


def records(run: WatchedRun, node: Node) -> Iterator[tuple[str, float, Record]]:
    """The records about a row, with their numbers and times."""
    for n, place in node.records:
        envelope = run.envelope(n)
        if envelope is not None:
            yield f"{n}.{place}", envelope.at, envelope.records[place]


def _worker(run: WatchedRun, n: int) -> str:
    envelope = run.envelope(n)
    return "" if envelope is None else envelope.writer


def _owner(node: Node) -> str:
    while node.parent is not None:
        node = node.parent
        if node.is_frame:
            return node.name
    return ""


class _Reader:
    """Adds what each record says to the detail of its row."""

    def __init__(self, client: Client, run: WatchedRun, found: Detail) -> None:
        self._client = client
        self._run = run
        self._found = found

    def _add(self, id_: str, title: str, *values: tuple[str, Value], small: str = "") -> Section:
        section = Section(id=id_, title=title, small=small, values=[*values])
        self._found.sections.append(section)
        return section

    async def _inflated(self, raw: msgspec.Raw) -> msgspec.Raw:
        try:
            return await self._client.logs.inflated(raw)
        except BusError as error:
            return msgspec.Raw(msgspec.json.encode(f"(not available: {error})"))

    async def read(self, number: str, at: float, record: Record) -> None:
        """Add one record."""
        match record:
            case entry.Stepped():
                await self._step(number, record)
            case entry.Called():
                await self._value("input", "Input", number, record.input)
            case entry.Returned() | entry.Joined():
                await self._returned(number, record)
            case entry.Failed():
                self._attempt(number, at, record)
            case entry.Ended():
                await self._ended(number, record)
            case _:
                self._simple(number, record)

    def _simple(self, number: str, record: Record) -> None:
        """Add a record that needs nothing but itself."""
        match record:
            case entry.Started():
                self._add("input", "Event", (record.on, json_text(record.event, number)))
            case entry.Asked():
                self._asked(number, record)
            case entry.Answered():
                self._answered(number, record)
            case entry.Voted():
                self._voted(number, record)
            case entry.Arrived():
                self._add("output", "Event", ("", json_text(record.event, number)))
            case entry.Awaited():
                self._add("input", "Waits for", (record.subject, value_text(record.match, number)))
            case entry.Spawned():
                self._add("input", "Event of the child run", ("", json_text(record.event, number)))
            case _:
                self._interrupted(number, record)

    def _interrupted(self, number: str, record: Record) -> None:
        match record:
            case entry.Slept():
                self._add("input", "Sleeps", ("until", text(iso(record.until), number)))
            case entry.Cancelled():
                reason = text(record.reason or "no reason given", number)
                by = f"by {record.by}" if record.by else ""
                self._add("error", "Cancelled", ("", reason), small=by)
            case entry.Blocked():
                reason = text(record.reason, number)
                self._add("error", "Blocked", ("", reason), small=record.kind).note = record.needs
            case _:
                pass

    async def _value(self, id_: str, title: str, number: str, raw: msgspec.Raw) -> None:
        self._add(id_, title, ("", json_text(await self._inflated(raw), number)))

    async def _returned(self, number: str, record: entry.Returned | entry.Joined) -> None:
        if record.error is not None:
            self._found.failure = record.error
        else:
            child = isinstance(record, entry.Joined)
            title = "Result of the child run" if child else "Output"
            await self._value("output", title, number, record.result)

    async def _ended(self, number: str, record: entry.Ended) -> None:
        if record.failure is not None:
            self._found.failure = record.failure
        elif record.error:
            self._add("error", "Error", ("", text(record.error, number)), small=record.status)
        if record.result != NULL:
            await self._value("output", "Result", number, record.result)

    def _attempt(self, number: str, at: float, record: entry.Failed) -> None:
        error = record.error
        self._found.attempts.append(
            Attempt(
                at=iso(at),
                error=error.type,
                message=error.message,
                place=str(error.place or ""),
                again_at=iso(record.retry_at),
                worker=_worker(self._run, int(number.partition(".")[0])),
            )
        )

    def _answered(self, number: str, record: entry.Answered) -> None:
        why = self._run.outline.refused.get(number, "")
        title = "Answer that does not count" if why else "Answer"
        self._add("output", title, (record.by, text(record.text, number))).note = why

    def _voted(self, number: str, record: entry.Voted) -> None:
        why = self._run.outline.refused.get(number, "")
        title = "Vote that does not count" if why else "Vote"
        self._add("output", title, (record.by, text(record.text, number))).note = why

    def _asked(self, number: str, record: entry.Asked) -> None:
        section = self._add("input", "Question", ("", text(record.question, number)))
        if record.context:
            section.values.append(("Context", text(record.context, number)))
        if record.form:
            section.values.append(("Form of the answer", value_text(record.form, number)))

    async def _step(self, number: str, record: entry.Stepped) -> None:
        if record.error is not None:
            self._found.failure = record.error
            return
        if self._found.node.kind == "tool" and is_response(record.key):
            self._called(number)
            return
        raw = await self._inflated(record.result)
        kind = self._found.node.kind
        if kind == "model" and (response := _as(raw, ModelResponse)) is not None:
            self._response(number, response)
        elif kind == "tool" and (outcome := _as(raw, CallOutcome)) is not None:
            self._outcome(number, record, outcome)
        else:
            self._add("output", "Output", ("", json_text(raw, number)))

    def _response(self, number: str, response: ModelResponse) -> None:
        self._found.tokens, self._found.model = response.usage, response.model
        section = self._add("response", "Response", small=f"stop: {response.stop_reason}")
        section.said = [*said(response.message, number, "new")]

    def _called(self, number: str) -> None:
        """What a model asked for, of a call that has no outcome yet."""
        call = self._run.outline.call_of(self._found.node)
        if call is not None and self._found.node.end is None:
            title = f"Tool call: {call.name}"
            self._add(
                "tools", title, ("Arguments", value_text(call.arguments, number)), small=call.id
            )

    def _outcome(self, number: str, record: entry.Stepped, outcome: CallOutcome) -> None:
        call = self._run.outline.call(record.frame, record.key)
        arguments = outcome.arguments if outcome.arguments is not None else None
        if arguments is None and call is not None:
            arguments = call.arguments
        section = self._add("tools", f"Tool call: {self._found.node.name}")
        if call is not None:
            section.small = call.id
        if arguments is not None:
            section.values.append(("Arguments", value_text(arguments, number)))
        title = "Error, as the model gets it" if outcome.is_error else "Result"
        section.values.append((title, maybe_json(outcome.content, number)))


def said(message: Message, number: str, mark: str = "") -> Iterator[Said]:
    """The parts of a message."""
    for part in message.parts:
        match part:
            case Text():
                yield Said(message.role, text(part.text, number), mark)
            case ToolCall():
                yield Said(
                    f"{message.role}, calls {part.name}", value_text(part.arguments, number), mark
                )
            case ToolResult():
                what = "error" if part.is_error else "result"
                yield Said(f"tool {what}, {part.name}", maybe_json(part.content, number), mark)
            case Opaque():
                yield Said(
                    f"{message.role}, for {part.provider}", value_text(part.data, number), mark
                )
            case _:
                yield Said(f"{message.role}, attachment", value_text(part, number), mark)


def _as(raw: msgspec.Raw, wanted: Any) -> Any:
    try:
        return load(raw, wanted)
    except BadValue:
        return None


def is_response(key: str) -> bool:
    """Whether a key is that of a model's response."""
    found = Key.parse(key)
    return found is not None and not found[1] and found[0].kind == MODEL


def _entries(run: WatchedRun, node: Node) -> Section:
    section = Section(id="entry", title="Entries of the log", small=f"{len(node.records)}")
    for number, _, record in list(records(run, node))[:_MOST_ENTRIES]:
        section.values.append((number, json_text(msgspec.json.encode(record), number)))
    return section
