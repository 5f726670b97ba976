"""Lines that answer exactly one question: what a person pastes does that and nothing else."""

from __future__ import annotations

import json
import shlex
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layby.actors.people.answer_lines import (
    accepted_from,
    answer_subject,
    answer_with,
    form_for,
    form_of,
    through,
)
from layby.actors.people.answer_subject import sender_in, split_subject, via_subject
from layby.bus.names import Names
from layby.runtime.choice import choice_of
from layby.runtime.forms import fit
from layby.runtime.quorum import Quorum
from tests.examples import examples

PLAIN = Names()
DIGEST = "abcdefabcdef"
YES_OR_NO = {"type": "boolean"}


class Asked(NamedTuple):
    id: str = "q1"
    role: str = "developer"
    form: dict[str, Any] | None = None
    digest: str = ""
    accept: tuple[str, ...] = ()
    quorum: Quorum | None = None
    sealed: bytes = b""


def bodies(asked: Asked, names: Names = PLAIN) -> list[Any]:
    """The answers of all lines."""
    return [json.loads(shlex.split(line)[-1])["answer"] for line in answer_with(names, "T1", asked)]


# -- the lines --------------------------------------------------------------------------------


def test_a_line_names_the_question_and_the_ticket() -> None:
    [line] = answer_with(PLAIN, "T1", Asked())
    assert shlex.split(line) == [
        "nats",
        "pub",
        "-J",
        "--no-templates",
        "developer.response.T1",
        '{"questionId": "q1", "answer": "your answer"}',
    ]


def test_an_app_with_a_prefix_is_answered_on_its_own_subject() -> None:
    [line] = answer_with(Names("shop"), "#45 21", Asked())
    assert shlex.split(line)[4] == "shop.developer.response.=2345=2021"


@pytest.mark.parametrize(
    ("asked", "answers"),
    [
        (Asked(form=YES_OR_NO), ["yes", "no"]),
        (Asked(form={"enum": ["red", 7, None]}), ["red", 7, None]),
        (Asked(form={"const": "done"}), ["done"]),
        (Asked(form={"type": "integer"}), ["1"]),
        (Asked(digest=DIGEST), [f"approve {DIGEST}", "reject: why"]),
        (
            Asked(form={"type": "object", "properties": {"n": {"type": "integer"}}}),
            [{"n": 1}],
        ),
        (Asked(form={"type": "array", "items": {"type": "boolean"}}), [[True]]),
    ],
)
def test_there_is_a_line_for_each_answer_or_one_to_fill_in(
    asked: Asked, answers: list[Any]
) -> None:
    assert bodies(asked) == answers


@pytest.mark.parametrize(
    "form",
    [YES_OR_NO, {"enum": ["a", "b"]}, {"type": "integer"}, {"type": "number"}, {"type": "string"}],
)
def test_what_the_lines_say_has_the_form_that_is_asked_for(form: dict[str, Any]) -> None:
    for answer in bodies(Asked(form=form)):
        assert fit(answer if isinstance(answer, str) else json.dumps(answer), form) == ""


def test_what_the_lines_say_of_a_call_can_be_counted() -> None:
    asked = Asked(digest=DIGEST)
    assert [choice_of(asked, text) for text in bodies(asked)] == ["approve", "reject"]


HOSTILE = st.text(max_size=20) | st.sampled_from(["'; rm -rf /", "$(x)", "`x`", '"\\', "\n"])


@settings(deadline=None, database=None, max_examples=examples(200))
@given(HOSTILE, st.lists(HOSTILE, min_size=1, max_size=3, unique=True))
def test_nothing_in_a_question_can_end_the_argument(ref: str, listed: list[str]) -> None:
    asked = Asked(id=ref, form={"enum": listed})
    lines = answer_with(PLAIN, "T1", asked)
    assert bodies(asked) == listed
    for line in lines:
        words = shlex.split(line)
        assert len(words) == 6
        assert json.loads(words[-1])["questionId"] == ref
        assert line.isascii()
        assert line.isprintable()


# -- who must vouch ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "subject"),
    [
        ((), "developer.response.T1"),
        (("none",), "developer.response.T1"),
        (("nats", "none"), "developer.response.T1"),
        (("nats",), "developer.response.T1.YOUR_NAME"),
        (("nats", "slack"), "developer.response.T1.YOUR_NAME"),
        (("slack", "token"), "developer.response.T1.YOUR_NAME.via-slack"),
    ],
)
def test_the_subject_says_who_vouches(accept: tuple[str, ...], subject: str) -> None:
    assert answer_subject("T1", Asked(accept=accept)) == subject


def test_what_only_a_bridge_takes_in_has_no_line_to_paste() -> None:
    assert answer_with(PLAIN, "T1", Asked(accept=("slack",))) == ()
    assert len(answer_with(PLAIN, "T1", Asked(accept=("slack", "nats")))) == 1


@pytest.mark.parametrize(
    ("accept", "only"),
    [((), []), (("nats",), []), (("slack", "nats"), []), (("link", "slack"), ["link", "slack"])],
)
def test_answers_may_count_only_through_bridges(accept: tuple[str, ...], only: list[str]) -> None:
    assert through(accept) == only


def test_a_signed_answer_is_given_by_a_command_that_signs() -> None:
    asked = Asked(form=YES_OR_NO, accept=("signature",))
    lines = [shlex.split(line) for line in answer_with(Names("shop"), "-x", asked)]
    assert [line[-1] for line in lines] == ["yes", "no"]
    assert lines[0] == [
        *("layby", "answer", "--prefix", "shop", "--question", "q1"),
        *("--responder", "YOUR_NAME", "--nkey", "FILE", "--", "-x", "yes"),
    ]


def test_a_signed_answer_that_is_no_text_is_json() -> None:
    asked = Asked(form={"enum": [{"a": 1}]}, accept=("signature",))
    [line] = answer_with(PLAIN, "T1", asked)
    assert shlex.split(line)[-1] == '{"a": 1}'


BOTH = Quorum(number=2, groups={"finance": 1, "legal": 1}, signed=["legal"])


def test_each_role_that_decides_has_lines_of_its_own() -> None:
    asked = Asked(role="finance", form=YES_OR_NO, quorum=BOTH, accept=("nats", "signature"))
    lines = [shlex.split(line) for line in answer_with(PLAIN, "T1", asked)]
    assert [line[:2] for line in lines] == [["nats", "pub"]] * 2 + [["layby", "answer"]] * 2
    assert lines[0][4] == "finance.response.T1.YOUR_NAME"
    assert lines[2][2:4] == ["--role", "legal"]
    mine = answer_with(PLAIN, "T1", asked, "legal")
    assert [shlex.split(line) for line in mine] == lines[2:]


def test_a_vote_needs_a_name_and_a_signature_only_of_the_roles_with_keys() -> None:
    asked = Asked(role="finance", quorum=BOTH, accept=("signature",))
    assert accepted_from(asked, "legal") == ["signature"]
    assert accepted_from(asked, "finance") == ["nats"]
    wide = Asked(role="finance", quorum=BOTH, accept=("signature", "slack"))
    assert accepted_from(wide, "finance") == ["slack"]
    assert accepted_from(Asked(accept=("link",)), "developer") == ("link",)


# -- what it must look like -------------------------------------------------------------------


def test_people_read_what_an_answer_must_look_like() -> None:
    assert form_of(None).startswith("plain text, or {")
    assert form_of(YES_OR_NO).split("\n")[1:] == ["answer: yes or no", "for example: yes"]


def test_the_askers_own_words_describe_a_form_with_alternatives() -> None:
    form = {"anyOf": [{"const": "a"}, {"type": "object"}], "description": "answer a\nor an object"}
    assert form_of(form).split("\n")[1:] == ["answer a", "or an object"]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (Asked(sealed=b"x"), "as the question says, encrypted"),
        (Asked(sealed=b"x", digest=DIGEST), "one of: approve, reject: why, respond"),
        (Asked(sealed=b"x", form=YES_OR_NO), "for example: yes"),
        (Asked(form=YES_OR_NO), "for example: yes"),
    ],
)
def test_an_encrypted_question_says_only_how_to_answer(asked: Asked, says: str) -> None:
    assert says in form_for(asked)


# -- the way back -----------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "shop"])
@pytest.mark.parametrize("via", ["", "slack", "proxy"])
def test_a_subject_is_read_as_it_was_written(prefix: str, via: str) -> None:
    names = Names(prefix)
    plain = answer_subject("#4", Asked(accept=("none",)))
    subject = via_subject(plain, "ada", via) if via else f"{plain}.ada"
    assert split_subject(subject) == ("=234", ("ada", via))
    assert sender_in(names.subject(subject), "developer") == ("ada", via)
    assert sender_in(names.subject(plain), "developer") == ("", "")


@pytest.mark.parametrize("rest", ["ada.via-", "ada.via-mail", "ada.via-nats", "ada.b"])
def test_only_a_known_bridge_takes_answers_in(rest: str) -> None:
    """Whatever else follows a name is part of it, and a name with a dot is not valid."""
    assert sender_in(f"developer.response.T1.{rest}", "developer") == (rest, "")


def test_a_subject_of_another_role_names_nobody() -> None:
    assert sender_in("lead.response.T1.ada", "developer") == ("", "")
    assert sender_in("developer.question.T1.ada", "developer") == ("", "")
