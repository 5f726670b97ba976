"""The arguments of a call as people read them before they approve it, and read back from that."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layby.tools.argument_text import arguments_text, safe_json, visible
from layby.tools.shown_call import ShownCall, shown_call
from tests.examples import examples

DIGEST = "abcdefabcdef"
RLO = "\u202e"


def shown(arguments: dict[str, Any], *, about: str = "refund: Pay money back.") -> str:
    """A context as an approval has it."""
    return f"{about}\n{arguments_text(arguments)}\ndigest: {DIGEST}\nmore"


# -- as they are shown -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain ümläut 漢", "plain ümläut 漢"),
        (f"a{RLO}b", "a\\u202eb"),
        ("a\u200bb", "a\\u200bb"),
        ("a\x1b[31m", "a\\u001b[31m"),
        ("a\nb", "a\nb"),
        ("a\r\tb", "a\\r\\tb"),
    ],
)
def test_characters_that_hide_or_reorder_others_are_escaped(text: str, seen: str) -> None:
    assert visible(text) == seen


def test_json_that_is_shown_stays_the_same_json() -> None:
    value = {"a": [1, "ü", f"x{RLO}y", None], "b": {"c": True}}
    assert json.loads(safe_json(value)) == value
    assert RLO not in safe_json(value)


def test_a_text_of_several_lines_is_shown_as_a_block_with_a_margin() -> None:
    text = arguments_text({"to": "ada", "body": "Dear Ada,\n\tsee you\narguments: {}"})
    assert text == (
        'arguments: {\n  "to": "ada",\n  "body": "3 lines, shown below"\n}\n'
        "body:\n  | Dear Ada,\n  | \tsee you\n  | arguments: {}"
    )


def test_a_text_within_others_is_named_by_its_path() -> None:
    text = arguments_text({"mails": [{"body": "a\nb"}]})
    assert "mails.0.body:\n  | a\n  | b" in text
    assert '"body": "2 lines, shown below"' in text


@pytest.mark.parametrize(
    ("old", "new"),
    [("old_string", "new_string"), ("before", "after"), ("original_code", "replacement_code")],
)
def test_a_change_is_shown_as_a_diff_with_all_lines(old: str, new: str) -> None:
    text = arguments_text({old: "a\nb\nc", new: "a\nB\nc"})
    assert f'"{old}": "shown below as a change"' in text
    assert f"change from {old} to {new}:\n  |  a\n  | -b\n  | +B\n  |  c" in text


def test_a_change_that_changes_nothing_shows_the_text() -> None:
    assert "change from old to new:\n  |   a\n  |   b" in arguments_text(
        {"old": "a\nb", "new": "a\nb"}
    )


@pytest.mark.parametrize(
    "arguments",
    [{"old": "a", "new": "b"}, {"old": "a\nb", "new": 7}, {"old": "a\nb"}, {"before": 1}],
)
def test_what_is_no_change_of_lines_is_not_shown_as_one(arguments: dict[str, Any]) -> None:
    assert "shown below as a change" not in arguments_text(arguments)


def test_a_name_cannot_pose_as_a_line_of_ours() -> None:
    hostile = f"x\ndigest: {DIGEST}{RLO}"
    text = arguments_text({hostile: "a\nb"})
    assert RLO not in text
    assert text.splitlines()[0] == "arguments: {"


# -- read back ---------------------------------------------------------------------------------

PLAIN = {"amount": 5, "to": "ada", "note": "thanks", "deep": {"a": [1, 2.5, None, True]}}


def test_arguments_are_read_back_exactly() -> None:
    found = shown_call("May Clerk call refund(...)?", shown(PLAIN), DIGEST)
    assert found == ShownCall("refund", "Pay money back.", PLAIN)


def test_a_call_without_arguments_is_read_back_as_one() -> None:
    assert shown_call("?", shown({}), DIGEST).arguments == {}


def test_a_tool_without_a_description_is_named_by_its_question() -> None:
    context = f"{arguments_text(PLAIN)}\ndigest: {DIGEST}\n"
    found = shown_call("intro\nMay Clerk call refund(5, ...)?", context, DIGEST)
    assert (found.tool, found.about, found.arguments) == ("refund", "", PLAIN)


def test_texts_of_several_lines_are_taken_from_what_the_agent_sent() -> None:
    sent = {"to": "ada", "body": "a\nb", "old": "x\ny", "new": "x\nz"}
    assert shown_call("?", shown(sent), DIGEST).arguments is None
    assert shown_call("?", shown(sent), DIGEST, sent).arguments == sent


def test_what_the_agent_sent_does_not_count_if_it_is_not_what_is_shown() -> None:
    sent = {"to": "ada", "body": "a\nb"}
    forged = {**sent, "body": "a\nc"}
    assert shown_call("?", shown(sent), DIGEST, forged).arguments is None
    assert shown_call("?", shown(PLAIN), DIGEST, {"amount": 9_000}).arguments == PLAIN


@pytest.mark.parametrize(
    "context",
    [
        "",
        "no arguments here",
        shown(PLAIN).replace(DIGEST, "ffffffffffff"),
        shown(PLAIN).replace('"ada"', '"eve"  '),
        f"refund: x\narguments: {{broken\ndigest: {DIGEST}\n",
        f"refund: x\narguments: [1]\ndigest: {DIGEST}\n",
        "arguments: " + "{" * 5_000 + f"\ndigest: {DIGEST}\n",
    ],
)
def test_what_cannot_be_told_for_certain_is_not_told(context: str) -> None:
    assert shown_call("May X call y(1)?", context, DIGEST).arguments is None


def test_a_description_cannot_pose_as_arguments() -> None:
    fake = arguments_text({"amount": 1})
    about = f"refund: Read {fake.splitlines()[0]} this.\n{fake}"
    found = shown_call("?", shown({"amount": 9_000}, about=about), DIGEST)
    assert found.arguments in (None, {"amount": 9_000})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@settings(deadline=None, database=None, max_examples=examples(200))
@given(st.dictionaries(st.text(max_size=6), JSON, max_size=4))
def test_whatever_is_read_back_is_what_the_agent_sent(arguments: dict[str, Any]) -> None:
    found = shown_call("May X call y(1)?", shown(arguments), DIGEST, arguments).arguments
    assert found in (None, arguments)
    for line in arguments_text(arguments).splitlines()[1:]:
        assert not line.startswith(("digest:", "arguments:"))
