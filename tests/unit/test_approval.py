"""A call to approve: what people are asked, which answers are clear, and what they decide."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from layby import tool
from layby.runtime.choice import choice_of
from layby.runtime.errors import InvalidSetup
from layby.runtime.forms import answer_value, fit, schema_of
from layby.runtime.quorum import Quorum
from layby.runtime.values import BadValue
from layby.tools.approval import (
    Needed,
    Ruling,
    answer_type,
    approvers_for,
    call_of,
    checked,
    context,
    declared_approvers,
    digest_of,
    inlined,
    new_salt,
    question,
    question_digest,
    ruling_of,
)
from layby.tools.approvers import Approvers, check_roles
from layby.tools.context import ToolContext
from layby.tools.shown_call import shown_call
from tests.examples import examples

DIGEST = "abcdefabcdef"
NO_CONTEXT = cast("ToolContext[Any]", None)


class Item(BaseModel):
    name: str
    parts: list[Item] = []


@tool
async def refund(order: str, cents: int = 100) -> str:
    """Give a customer money back."""
    return f"{cents} for {order}"


class Bare(NamedTuple):
    """A tool without a description."""

    name: str = "wipe"
    description: str = ""
    parameters: dict[str, Any] = {}  # noqa: RUF012
    needs_approval: Any = True


class Asked(NamedTuple):
    form: dict[str, Any] | None
    digest: str = DIGEST


TYPE = answer_type(refund, DIGEST)
FORM = schema_of(TYPE)


# -- which answers are clear ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ruling"),
    [
        ("yes", Ruling("approve")),
        ("YES", Ruling("approve")),
        ("approve", Ruling("approve")),
        ("Approved", Ruling("approve")),
        (f"approve {DIGEST}", Ruling("approve")),
        (f'{{"approve": "{DIGEST}"}}', Ruling("approve")),
        ('{"approve": true}', Ruling("approve")),
        ("no", Ruling("reject")),
        ("No: too much", Ruling("reject", "too much")),
        ("reject", Ruling("reject")),
        ("Rejected: why not\nask Ada", Ruling("reject", "why not\nask Ada")),
        ("reject too much", Ruling("reject", "too much")),
        ('{"reject": " too much "}', Ruling("reject", "too much")),
        ("respond: paid by hand", Ruling("respond", "paid by hand")),
        ('{"respond": "paid"}', Ruling("respond", "paid")),
        ('{"edit": {"order": "B2"}}', Ruling("edit", arguments={"order": "B2"})),
    ],
)
def test_a_clear_answer_is_taken_for_what_it_says(text: str, ruling: Ruling) -> None:
    assert fit(text, FORM) == ""
    assert ruling_of(answer_value(text, TYPE)) == ruling


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ok",
        "yes please",
        "approve it",
        "approve ffffffffffff",
        "approve abcdefabcdef now",
        "not yet",
        "now",
        "note: yes",
        "rejection",
        "respond:",
        "respond: ",
        "yes\nno",
        '{"approve": false}',
        '{"approve": "ffffffffffff"}',
        '{"approve": 1}',
        '{"approve": true, "edit": {}}',
        '{"respond": ""}',
        '{"edit": "all"}',
        '{"reject": 7}',
        "{}",
        "true",
    ],
)
def test_an_answer_that_is_not_clear_is_refused_and_says_what_is(text: str) -> None:
    why = fit(text, FORM)
    assert f"answer one of: approve | approve {DIGEST} | reject: why" in why
    with pytest.raises(BadValue):
        answer_value(text, TYPE)


WORDS = st.lists(
    st.sampled_from(
        ["yes", "no", "approve", "Approved", "reject", "respond", ":", " ", DIGEST, "x"]
    ),
    max_size=5,
).map("".join)
OBJECTS = st.dictionaries(
    st.sampled_from(["approve", "reject", "respond", "edit", "x"]),
    st.sampled_from([True, False, DIGEST, "why", "", {"order": "A"}, 1]),
    max_size=2,
).map(json.dumps)


@settings(deadline=None, database=None, max_examples=examples(300))
@given(WORDS | OBJECTS | st.text(max_size=12))
def test_whoever_reads_a_clear_answer_takes_it_for_the_same_decision(text: str) -> None:
    """Who runs the call reads it by its type, and who counts votes by its words."""
    if fit(text, FORM):
        return
    ruling = ruling_of(answer_value(text, TYPE))
    assert choice_of(Asked(FORM), text).split(" ")[0] == ruling.kind


# -- what people are asked --------------------------------------------------------------------


def test_the_question_is_one_line_and_cuts_long_arguments() -> None:
    full = {"order": "A\n1", "cents": "9" * 200}
    asked = question(refund, "Clerk", full)
    assert asked.startswith('May Clerk call refund(order="A\\n1", cents="999')
    assert asked.endswith("9…)?")
    assert "\n" not in asked
    assert len(asked) < 150
    assert question(refund, "Clerk", {}, "it does not fit") == (
        "it does not fit\nMay Clerk call refund()?"
    )


def test_the_context_shows_everything_and_can_be_read_back() -> None:
    full = {"order": "A1", "cents": 4_000}
    shown = context(refund, full, DIGEST)
    assert shown.startswith("refund: Give a customer money back.\narguments: {")
    assert f"answer: approve (or: approve {DIGEST})" in shown
    found = shown_call(question(refund, "Clerk", full), shown, DIGEST)
    assert (found.tool, found.arguments) == ("refund", full)
    bare = context(Bare(), full, DIGEST)
    assert bare.startswith("arguments: {")
    assert shown_call(question(Bare(), "Clerk", full), bare, DIGEST).tool == "wipe"


# -- digests ----------------------------------------------------------------------------------


def test_a_digest_is_of_the_tool_and_of_what_was_sent_and_of_what_it_gets() -> None:
    sent, full = {"order": "A"}, {"order": "A", "cents": 100}
    first = digest_of(refund, sent, full)
    assert len(first) == 12
    assert digest_of(refund, sent, dict(reversed(full.items()))) == first
    others = [
        digest_of(refund, full, full),
        digest_of(refund, sent, {**full, "cents": 101}),
        digest_of(Bare(), sent, full),
    ]
    assert len({first, *others}) == 4


def test_two_questions_about_one_call_have_two_digests_and_a_salt_hides_both() -> None:
    plain = {question_digest("d", ref) for ref in ("q1", "q2")}
    salted = {question_digest("d", "q1", salt) for salt in ("a", "b")}
    assert len(plain | salted) == 4
    assert question_digest("d", "q1") == question_digest("d", "q1", "")
    assert len({new_salt() for _ in range(20)}) == 20
    assert len(new_salt()) >= 32


def test_what_is_signed_is_the_call_in_one_form() -> None:
    one, other = {"order": "A", "cents": 1}, {"cents": 1, "order": "A"}
    assert call_of(refund, one) == call_of(refund, other)
    assert json.loads(call_of(refund, one).arguments) == one
    assert call_of(refund, one).tool == "refund"


# -- schemas ----------------------------------------------------------------------------------


def test_an_edit_of_what_contains_itself_allows_anything_there() -> None:
    """The tool itself checks it."""
    schema = inlined(Item.model_json_schema())
    assert set(schema["properties"]) == {"name", "parts"}
    assert schema["properties"]["parts"]["items"] == {}
    assert "$" not in json.dumps(schema)


def test_references_are_replaced_wherever_they_are() -> None:
    schema = {
        "$defs": {
            "A": {"type": "string"},
            "B": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]},
        },
        "properties": {"b": {"$ref": "#/$defs/B"}, "gone": {"$ref": "#/$defs/C"}, "$ref": {"x": 1}},
        "list": [{"$ref": "#/$defs/A"}, 7],
    }
    assert inlined(schema) == {
        "properties": {
            "b": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "gone": {},
            "$ref": {"x": 1},
        },
        "list": [{"type": "string"}, 7],
    }


# -- who must approve -------------------------------------------------------------------------

PAIR = Approvers(groups={"legal": 1, "finance": 1}, veto=True)


@pytest.mark.parametrize(
    ("needs", "needed"),
    [
        (True, Needed("developer")),
        (False, Needed()),
        ("lead", Needed("lead")),
        (Approvers("finance"), Needed("finance", Quorum(number=1))),
        (Approvers("finance", quorum=2), Needed("finance", Quorum(number=2))),
        (Approvers(quorum=2), Needed("developer", Quorum(number=2))),
        (PAIR, Needed("legal", Quorum(number=2, groups={"legal": 1, "finance": 1}, veto=True))),
    ],
)
async def test_who_must_approve_is_the_same_given_or_found_by_a_function(
    needs: Any, needed: Needed
) -> None:
    assert checked("t", needs) == needs
    assert declared_approvers(needs) == needed
    assert await approvers_for(needs, NO_CONTEXT, {}) == needed
    assert await approvers_for(lambda _ctx, _arguments: needs, NO_CONTEXT, {}) == needed

    async def later(_ctx: Any, arguments: dict[str, Any]) -> Any:
        return needs if arguments["cents"] else False

    assert await approvers_for(later, NO_CONTEXT, {"cents": 1}) == needed
    assert await approvers_for(later, NO_CONTEXT, {"cents": 0}) == Needed()
    assert declared_approvers(later) == Needed(), "a function decides for each call"


@pytest.mark.parametrize("needs", [None, "", 7, ["lead"]])
async def test_anything_else_names_nobody_and_is_refused(needs: Any) -> None:
    with pytest.raises(InvalidSetup, match=r"tool 't': needs_approval=.*give True, a role"):
        checked("t", needs)
    if needs != "":
        with pytest.raises(InvalidSetup, match=r"needs_approval returned .*: return True, False"):
            await approvers_for(lambda _ctx, _arguments: needs, NO_CONTEXT, {})


def test_the_role_that_is_asked_is_one_of_the_groups() -> None:
    assert Approvers("finance", groups={"legal": 1, "finance": 1}).asked == "finance"
    with pytest.raises(InvalidSetup, match="the role is not one of the groups: leave it out"):
        Approvers("lead", groups={"legal": 1})
    with pytest.raises(InvalidSetup, match="quorum=0"):
        Approvers("lead", quorum=0)


@pytest.mark.parametrize(
    ("needs", "unknown"),
    [(PAIR, "finance"), (Approvers("lead"), "lead"), (Approvers(), "developer")],
)
def test_an_app_has_every_role_that_approves_calls_together(needs: Approvers, unknown: str) -> None:
    held = [Bare(needs_approval=True), Bare(needs_approval=needs)]
    check_roles(held, ["legal", needs.asked, unknown], "desk")
    check_roles([Bare(needs_approval="nobody")], ["legal"], "desk")
    why = f"'wipe' needs the approval of '{unknown}', and app 'desk' has no such role"
    with pytest.raises(InvalidSetup, match=why):
        check_roles(held, ["legal"], "desk")
