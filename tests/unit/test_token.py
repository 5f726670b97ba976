from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.bus.errors import InvalidTicket
from layby.bus.token import LONGEST_TOKEN, decode, encode, is_word, slug

KEY = re.compile(
    r"[-_=A-Za-z0-9]+"
)  # what a KV key and a subject token both allow, less `/` and `.`
tickets = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)
hostile = st.text(st.sampled_from("aA=*>. \x00\n/\\2E#é🙂"), min_size=1, max_size=200)


@given(tickets | hostile)
def test_round_trip(ticket: str) -> None:
    assert decode(encode(ticket)) == ticket


@given(tickets | hostile)
def test_is_always_one_plain_token(ticket: str) -> None:
    token = encode(ticket)
    assert KEY.fullmatch(token)
    assert len(token) <= LONGEST_TOKEN


@given(tickets | hostile)
def test_a_word_stands_in_a_subject_as_it_is(text: str) -> None:
    assert is_word(text) == (encode(text) == text)
    assert not is_word("")


@given(hostile, hostile)
def test_distinct_ids_have_distinct_tokens(one: str, other: str) -> None:
    assert (encode(one) == encode(other)) == (one == other)


@given(st.text(st.sampled_from("aZ09=-_2EeC3.é"), max_size=12))
def test_a_token_is_canonical_or_refused(token: str) -> None:
    try:
        ticket = decode(token)
    except InvalidTicket:
        return
    assert encode(ticket) == token


@pytest.mark.parametrize(
    ("ticket", "token"),
    [
        ("T125", "T125"),
        ("t125", "t125"),
        ("ACME-1.2", "ACME-1=2E2"),
        ("#45 21", "=2345=2021"),
        ("a_b", "a_b"),
        ("a=b", "a=3Db"),
        (">", "=3E"),
        ("*", "=2A"),
        ("é", "=C3=A9"),
        ("\x7f", "=7F"),
    ],
)
def test_known_tokens(ticket: str, token: str) -> None:
    assert encode(ticket) == token
    assert decode(token) == ticket


@pytest.mark.parametrize(
    "token", ["", "=2e", "=41", "=", "=4", "=ZZ", "a.b", "a b", ">", "é", "=C3", "=FF", "\ud800"]
)
def test_foreign_tokens_are_refused(token: str) -> None:
    with pytest.raises(InvalidTicket, match="ticket token"):
        decode(token)


@pytest.mark.parametrize("bad", ["", "x" * 201, "a\ud800", None, 125, b"T125"])
def test_impossible_ids_are_refused(bad: str) -> None:
    with pytest.raises(InvalidTicket, match=r"^The ticket id .*\. [A-Z].*\.$"):
        encode(bad)


def test_longest_id_fits() -> None:
    longest = "🙂" * 200
    assert len(encode(longest)) == LONGEST_TOKEN
    assert decode(encode(longest)) == longest
    with pytest.raises(InvalidTicket, match="2401 characters"):
        decode("a" * (LONGEST_TOKEN + 1))


def test_message_shows_little_of_a_long_id() -> None:
    with pytest.raises(InvalidTicket) as caught:
        encode("\x00" * 5000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Technical Support", "technical-support"),
        ("order_desk", "order-desk"),
        ("a.b>*", "a=2Eb=3E=2A"),
        ("Zoë", "zo=C3=AB"),
        ("developer", "developer"),
    ],
)
def test_slug(name: str, expected: str) -> None:
    assert slug(name) == expected


@pytest.mark.parametrize("bad", ["", "x" * 201, None, "\ud800"])
def test_impossible_names_are_refused(bad: str) -> None:
    with pytest.raises(InvalidTicket, match=r"^The actor name "):
        slug(bad)
