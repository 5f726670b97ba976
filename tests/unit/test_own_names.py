"""Words that may be part of a subject or a key, and names that are Layby's own."""

from __future__ import annotations

from typing import Any

import pytest

from layby.bus.bounded import Bounded
from layby.bus.errors import InvalidTicket
from layby.bus.names import Names
from layby.bus.token import (
    LONGEST_TICKET,
    check_ticket,
    check_words,
    decode,
    is_key,
    is_word,
    slug,
)

PLAIN, SHOP = Names(), Names("shop")


@pytest.mark.parametrize(
    ("text", "word", "key"),
    [
        ("ada", True, True),
        ("A-z_09", True, True),
        ("=2E", False, True),
        ("a.b", False, True),
        ("a.b=20.c", False, True),
        ("", False, False),
        ("a b", False, False),
        ("a.", False, False),
        (".a", False, False),
        ("a..b", False, False),
        ("*", False, False),
        (">", False, False),
        ("a/b", False, False),
        ("zoë", False, False),
        ("a\n", False, False),
        ("\ud800", False, False),
    ],
)
def test_words_and_keys_are_told_from_other_text(text: str, *, word: bool, key: bool) -> None:
    assert (is_word(text), is_key(text)) == (word, key)


def test_a_word_is_no_longer_than_a_ticket() -> None:
    assert is_word("a" * LONGEST_TICKET)
    assert not is_word("a" * (LONGEST_TICKET + 1))


def test_a_record_names_people_by_words_or_not_at_all() -> None:
    check_words("ada", "", "bob")
    with pytest.raises(ValueError, match="'a b' is not a word of letters"):
        check_words("ada", "a b")


@pytest.mark.parametrize("ticket", ["T1", "#45 21", "ü" * LONGEST_TICKET])
def test_any_short_text_may_be_a_ticket(ticket: str) -> None:
    check_ticket(ticket)


@pytest.mark.parametrize("ticket", ["", "x" * (LONGEST_TICKET + 1), "\ud800"])
def test_what_no_ticket_can_have_as_its_id_is_refused(ticket: str) -> None:
    with pytest.raises(ValueError, match="The ticket id"):
        check_ticket(ticket)


@pytest.mark.parametrize(
    ("name", "actor"),
    [("Technical Support", "technical-support"), ("a_b", "a-b"), ("Zoë.1", "zo=C3=AB=2E1")],
)
def test_an_actor_is_called_by_its_name_in_small_letters(name: str, actor: str) -> None:
    assert slug(name) == actor


@pytest.mark.parametrize("name", ["", "x" * (LONGEST_TICKET + 1), None, 7])
def test_what_is_no_name_is_no_actors(name: Any) -> None:
    with pytest.raises(InvalidTicket, match=r"The actor name .*\. (Give|Use|Send) "):
        slug(name)


@pytest.mark.parametrize("token", ["=2e", "=41", "a b", "=", "=FF", "a.b", "x" * 2_401])
def test_what_encode_does_not_write_is_no_token(token: str) -> None:
    with pytest.raises(InvalidTicket, match="The ticket token"):
        decode(token)


# -- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "subject", "owner"),
    [
        (PLAIN, "orders.new", ""),
        (PLAIN, "to.desk", "Layby's own"),
        (PLAIN, "layby.do.cancel", "Layby's own"),
        (PLAIN, "total.new", ""),
        (PLAIN, "$JS.API.INFO", "the server's own"),
        (PLAIN, "_INBOX.x", "an inbox, where replies go"),
        (SHOP, "shop.to.desk", "Layby's own"),
        (SHOP, "shop.orders", ""),
        (SHOP, "shop._INBOX.x", "an inbox, where replies go"),
        (SHOP, "to.desk", "Layby's own"),
    ],
)
def test_no_event_is_sent_on_a_subject_that_has_an_owner(
    names: Names, subject: str, owner: str
) -> None:
    assert names.reserved(subject) == owner


@pytest.mark.parametrize(
    ("names", "stream", "owns"),
    [
        (PLAIN, "RUNS", True),
        (PLAIN, "RUNS_f", True),
        (PLAIN, "RUNS_g", False),
        (PLAIN, "EVENTS", False),
        (PLAIN, "ORDERS", False),
        (PLAIN, "KV_parked", True),
        (SHOP, "SHOP_QUESTIONS", True),
        (SHOP, "SHOP_ORDERS", False),
        (SHOP, "KV_SHOP_parked", True),
    ],
)
def test_streams_of_laybys_own_are_known_by_their_names(
    names: Names, stream: str, *, owns: bool
) -> None:
    assert names.owns_stream(stream) is owns


@pytest.mark.parametrize("names", [PLAIN, SHOP])
def test_a_name_is_read_as_it_was_written(names: Names) -> None:
    assert names.own(names.subject("developer.question.T1")) == "developer.question.T1"
    assert names.owns_stream(names.stream("ANSWERS"))
    assert names.bucket_stream("parked") == f"KV_{names.bucket('parked')}"
    assert names.keys("parked", ">") == f"$KV.{names.bucket('parked')}.>"


def test_a_consumer_among_those_of_others_says_whose_it_is() -> None:
    assert PLAIN.guest("desk") == "layby-desk"
    assert SHOP.guest("desk") == "shop-desk"


# -- what is remembered -----------------------------------------------------------------------


def test_a_look_is_no_use() -> None:
    held: Bounded[str, str] = Bounded(10)
    held.put("a", "A", 5)
    held.put("b", "B", 5)
    assert held.peek("a") == "A"
    assert held.peek("c") is None
    assert ("a" in held, "c" in held) == (True, False)
    held.put("c", "C", 5)
    assert held.peek("a") is None


def test_what_fills_all_of_it_is_kept_and_what_is_larger_is_not() -> None:
    held: Bounded[str, str] = Bounded(10)
    held.put("a", "A", 10)
    assert (held.get("a"), held.held) == ("A", 10)
    held.put("a", "AA", 11)
    assert (held.get("a"), held.held, len(held)) == (None, 0, 0)


def test_all_of_it_can_be_forgotten() -> None:
    held: Bounded[str, str] = Bounded(10)
    held.put("a", "A", 5)
    held.clear()
    assert ("a" in held, held.held, len(held)) == (False, 0, 0)
    held.pop("a")
    held.put("b", "B", 10)
    assert held.get("b") == "B"
