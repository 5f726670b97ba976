"""A question has one set of fields: no shape that is made of it forgets one."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from layby.actors.people import confidential
from layby.actors.people.open_questions import OpenQuestion
from layby.actors.people.parked_question import ParkedQuestion, parked_question
from layby.actors.people.published_question import published_question
from layby.bus.names import Names
from layby.client.signing import Published
from layby.runtime.call import Call
from layby.runtime.entry import ROOT, Asked, Raw, Record, Started
from layby.runtime.envelope import Envelope
from layby.runtime.journal import fold
from layby.runtime.question_fields import ASKED, CONTENT, TERMS, fields_of
from layby.runtime.quorum import Quorum
from layby.runtime.role import Role
from layby.runtime.signature import digest
from layby.runtime.state import Question, RunState
from layby.runtime.vouching import Signers
from layby.views.event_projection import EventProjection
from layby.views.open_questions import question_row
from layby.views.rows import QuestionRow
from layby.views.timeline import TimelineProjection
from tests.signing_desk import ADA

OWN: dict[type[msgspec.Struct], set[str]] = {
    Asked: {"frame", "key", "deadline", "stops", "about"},
    Question: {"frame", "key", "asked_at", "deadline", "status", "text", "by", "at", "seq"}
    | {"vouched", "signature", "doubt", "retried", "votes"}
    | {"stops", "stopped_at", "lent", "stood", "about"},
    ParkedQuestion: {"run", "asked_at", "deadline", "status", "by", "closed_at", "seq"}
    | {"workflow", "started_at", "pos", "parent", "since", "answer_with"}
    | {"shown_seq", "shown_after", "sealed", "to", "ladder", "also", "asked_of", "votes"}
    | {"claim", "declined", "cards", "asked_back", "stopped_at", "opened"},
    QuestionRow: {"ticket", "run", "asked_at", "deadline", "answer_with", "sha256", "status"}
    | {"encrypted", "to", "ladder", "asked_of", "votes", "claim", "declined", "cards"}
    | {"asked_back", "stopped_at", "opened"},
}
"""What each shape has besides `ASKED`."""

WHOLE = Asked(
    frame=ROOT,
    key="ask",
    id="q1",
    role="approver",
    question="May it?",
    context="To ACME.",
    agent="Anna",
    deadline=1_000.0,
    form={"type": "boolean"},
    digest="abcdefabcdef",
    accept=["signature"],
    call=Call(tool="refund", arguments="{}"),
    confidential=True,
    quorum=Quorum(number=2, signed=["approver"]),
    only="ada",
)
SIGNERS = Signers([Role("approver", keys={"ada": ADA.public})])


@pytest.fixture
def state() -> RunState:
    state = RunState(id="run")
    started = Started(
        workflow="desk", actor="workflow-desk", version="1", ticket="T1", event=Raw(b"{}")
    )
    records: list[Record] = [started, WHOLE]
    for n, record in enumerate(records, 1):
        fold(state, n, Envelope(op=f"{n}", at=float(n), records=[record]))
    return state


@pytest.fixture
def parked(state: RunState) -> ParkedQuestion:
    return parked_question(state, state.questions["q1"])


def test_the_example_differs_from_the_default_in_every_field() -> None:
    defaults = {field.name: field.default for field in msgspec.structs.fields(Asked)}
    assert not [name for name, value in fields_of(WHOLE).items() if value == defaults[name]]


@pytest.mark.parametrize("shape", OWN)
def test_every_shape_has_the_fields_of_a_question_and_its_own(shape: type[msgspec.Struct]) -> None:
    assert set(shape.__struct_fields__) == {*ASKED, *OWN[shape]}
    assert not OWN[shape] & set(ASKED)


def test_every_field_gets_from_the_log_to_the_row(state: RunState, parked: ParkedQuestion) -> None:
    row = question_row(OpenQuestion(ticket="T1", question=parked), Names(""))
    for shape in (state.questions["q1"], parked, row):
        assert fields_of(shape) == fields_of(WHOLE)


def test_people_are_shown_every_field(parked: ParkedQuestion) -> None:
    shown = published_question(Names(""), "T1", parked, (), SIGNERS)
    assert set(ASKED) - shown.keys() == {"confidential"}, "`encrypted` says it"
    assert all(shown[name] == getattr(WHOLE, name) for name in set(ASKED) - {"confidential"})
    assert Published.read(msgspec.json.encode(shown)).subject("ada") == "approver.response.T1.ada"


def test_the_timeline_and_events_leave_out_how_an_answer_is_checked() -> None:
    [asked] = TimelineProjection("run").asked(WHOLE)
    line = asked["data"]
    assert set(ASKED) - line.keys() == {"form", "digest", "accept", "call", "confidential", "only"}
    [(_, event)] = EventProjection("run", cast("Any", None)).asked(WHOLE)
    event["id"] = event["question_id"]
    event.pop("agent", None)  # the one whose turn it is, in every event
    assert set(ASKED) - event.keys() == {
        "agent",
        "digest",
        "accept",
        "call",
        "confidential",
        "quorum",
        "only",
    }
    for shape in (line, event):
        shared = shape.keys() & set(ASKED)
        assert {name: shape[name] for name in shared} == fields_of(WHOLE, tuple(shared))


def test_what_a_confidential_question_says_is_sealed_and_its_terms_stay_plain(
    parked: ParkedQuestion,
) -> None:
    assert confidential._Content.__struct_fields__ == (*CONTENT, "asked_back")
    veiled = confidential.veiled(parked)
    assert fields_of(veiled, TERMS) == fields_of(parked, TERMS)
    bare = {"form"}  # a type says nothing
    kept = {name for name in CONTENT if getattr(veiled, name) == getattr(parked, name)}
    assert kept == bare


@pytest.mark.parametrize("name", ASKED)
def test_a_signature_covers_what_people_read(name: str) -> None:
    other: dict[str, Any] = {
        "form": {"type": "string"},
        "call": Call(tool="refund", arguments='{"eur":1}'),
        "accept": ["nats"],
        "confidential": False,
        "quorum": Quorum(number=1),
    }
    changed = msgspec.structs.replace(WHOLE, **{name: other.get(name, "changed")})
    assert (digest(changed) != digest(WHOLE)) == (name in {*CONTENT, "quorum"})
