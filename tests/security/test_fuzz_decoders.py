"""Whatever bytes arrive, every reader refuses or understands them: in process, by hypothesis."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layby.actors.people.answer import judge, read, understood
from layby.actors.people.answer_subject import Sender
from layby.actors.people.contest import Contest
from layby.actors.people.open_questions import OpenQuestion
from layby.actors.people.published_questions import _id_in
from layby.actors.people.tickets import ParkedRecord
from layby.actors.threads.thread_nats import _read as read_thread
from layby.actors.workflows.event_waits import Shapes, Waits
from layby.bus import dead, log, log_subject
from layby.bus.delivery import parse_ack_subject
from layby.bus.errors import BusError
from layby.bus.names import Names
from layby.bus.wire import Message
from layby.commands import InvalidCommand, read_command
from layby.runtime.addressee import handling
from layby.runtime.blocked_runs import BlockedRow
from layby.runtime.conflicts import conflicts
from layby.runtime.entry import Cancelled, Record, Reopened
from layby.runtime.envelope import UNREADABLE, Envelope, encode, is_newer
from layby.runtime.envelope import read as read_entry
from layby.runtime.journal import fold, skip
from layby.runtime.ports import Due
from layby.runtime.repairs import is_stale
from layby.runtime.state import RunState
from layby.views.listing import row_in
from layby.views.open_questions import stored_row as question_in
from layby.views.timeline import TimelineProjection
from tests.examples import examples
from tests.security.frames import Frame, bodies, frames, odd, subjects

calmly = settings(
    deadline=None,
    database=None,
    max_examples=examples(300),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
NAMES = Names()
ROWS = (ParkedRecord, OpenQuestion, BlockedRow, Waits, Shapes, Due, dead.DeadLetter)


@calmly
@given(frames([]))
def test_a_message_is_read_whatever_its_bytes(frame: Frame) -> None:
    message = Message(frame.subject, frame.reply, frame.body, frame.block)
    assert message.status.isdigit() or not message.status
    for text in (message.subject, message.reply, *message.headers, *message.headers.values()):
        text.encode()
    assert parse_ack_subject(message.reply) is None
    row_in(Message(frame.subject, b"", frame.body, b"NATS/1.0\r\nNats-Subject: a.b\r\n\r\n"))
    with suppress(InvalidCommand):
        read_command(NAMES, message.subject, frame.body, 1, 1.0)


@calmly
@given(st.lists(odd | st.integers(-2, 2**70).map(lambda n: b"%d" % n), max_size=14))
def test_an_acknowledgement_subject_is_read_or_none(words: list[bytes]) -> None:
    parse_ack_subject(Message(b"x", b".".join([b"$JS", b"ACK", *words]), b"", b"").reply)


@calmly
@given(subjects([]))
def test_a_subject_is_a_position_or_none(subject: bytes) -> None:
    with suppress(log_subject.NoPosition):
        text = Message(subject, b"", b"", b"").subject
        to, run, n = log_subject.parse(text)
        assert text.endswith(log_subject.subject(to, run, n))


@calmly
@given(bodies())
def test_a_row_is_read_or_refused(body: bytes) -> None:
    for kind in ROWS:
        with suppress(*UNREADABLE):
            msgspec.json.encode(msgspec.json.decode(body, type=kind))
    question_in(body, NAMES)
    dead.read(body)
    read_thread(body)
    _id_in(body)


@calmly
@given(bodies(), st.sampled_from(["developer", "lead"]))
def test_an_answer_is_understood_or_refused(body: bytes, role: str) -> None:
    given_ = understood(body, "T1", Sender("ada"))
    plain = read(body, "T1")
    assert isinstance(given_, type(plain))
    with suppress(*UNREADABLE):
        record = msgspec.json.decode(body, type=ParkedRecord)
        answer = read(b"yes", "T1")
        judge(record, role, answer, seq=3, at=5.0)  # type: ignore[arg-type]
        Contest(record, role)


@calmly
@given(st.lists(bodies(), max_size=6))
def test_what_is_in_a_log_is_folded_and_told_or_skipped(entries: list[bytes]) -> None:
    state, timeline = RunState(id="0" * 20), TimelineProjection("0" * 20)
    for n, body in enumerate(entries, 1):
        timeline.project(log.LogMessage(n, "log", body))
        envelope = read_entry(body)
        if envelope is None:
            skip(state, n, newer=is_newer(body))
            continue
        assert read_entry(encode(envelope)) == envelope
        for record in envelope.records:
            conflicts(state, record)
            is_stale(state, record, envelope.cause)
        fold(state, n, envelope)
        for record in envelope.records:
            handling(state, n, record)
        msgspec.json.decode(msgspec.json.encode(state), type=RunState)
    assert state.tail == len(entries)


def test_a_run_that_never_began_is_not_reopened() -> None:
    """The fold of a log that begins with an end failed of it."""
    state = RunState(id="0" * 20)
    records: list[Record] = [Cancelled(reason="r"), Reopened(by="ada")]
    for n, record in enumerate(records, 1):
        fold(state, n, Envelope(op="x", at=1.0, records=[record]))
    assert state.status == "cancelled"


@pytest.mark.parametrize("run", ["*", ">", "a.b", "", "a b", "\x00", "é", "x" * 300, "\ud800"])
def test_what_is_no_id_becomes_no_subject(run: str) -> None:
    with pytest.raises(BusError):
        log_subject.subject("log", run, 1)
    with pytest.raises(BusError):
        log_subject.position(run, "*")
