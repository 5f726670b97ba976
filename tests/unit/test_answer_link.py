"""Links that answer a question: nobody can make one without the key, or change what it says."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layby.actors.people.answer_link import LONGEST, AnswerLink, BadLink, LinkKeys
from layby.runtime.errors import InvalidSetup
from tests.examples import examples

KEY, OTHER = "k" * 32, "o" * 40
NOW = 1_000_000.0
KEYS = LinkKeys(KEY)


def link(**more: object) -> AnswerLink:
    fields: dict[str, object] = {
        "question": "q1",
        "role": "developer",
        "ticket": "T1",
        "digest": "",
        "person": "ada",
        "act": "open",
        "until": int(NOW),
        **more,
    }
    return AnswerLink(**fields)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def flaw(keys: LinkKeys, token: str, now: float = NOW) -> str:
    with pytest.raises(BadLink) as caught:
        keys.read(token, now)
    return caught.value.flaw


@settings(deadline=None, database=None, max_examples=examples(100))
@given(st.text(max_size=30), st.text(max_size=30), st.sampled_from(["approve", "choose", "open"]))
def test_a_link_says_what_was_put_into_it(ticket: str, choice: str, act: str) -> None:
    wanted = link(ticket=ticket, choice=choice, act=act)
    assert KEYS.read(KEYS.token(wanted), NOW) == wanted


def test_a_link_is_good_until_its_time_and_no_longer() -> None:
    token = KEYS.token(link())
    assert KEYS.read(token, NOW).person == "ada"
    assert flaw(KEYS, token, NOW + 0.5) == "expired"


def test_a_new_key_signs_and_the_old_one_is_still_accepted() -> None:
    old = KEYS.token(link())
    both = LinkKeys(OTHER, KEY)
    assert both.read(old, NOW) == link()
    new = both.token(link())
    assert LinkKeys(OTHER).read(new, NOW) == link()
    assert flaw(KEYS, new) == "old_key"
    assert flaw(LinkKeys(OTHER), old) == "old_key"


def test_no_part_can_be_taken_from_another_link() -> None:
    one, two = KEYS.token(link()), KEYS.token(link(person="bob"))
    (id_, said, _), (_, _, mac) = one.split("."), two.split(".")
    assert flaw(KEYS, f"{id_}.{said}.{mac}") == "forged"


@settings(deadline=None, database=None, max_examples=examples(200))
@given(st.integers(0, 400), st.sampled_from("AZaz09_-."))
def test_no_character_of_a_link_can_be_changed(place: int, char: str) -> None:
    token = KEYS.token(link())
    place %= len(token)
    changed = f"{token[:place]}{char}{token[place + 1 :]}"
    if changed == token:
        return
    assert flaw(KEYS, changed) in {"garbled", "forged", "old_key"}


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "." * 60, "é" * 60, "A" * (LONGEST + 1)])
def test_what_is_no_link_is_garbled(token: str) -> None:
    assert flaw(KEYS, token) == "garbled"


def test_a_link_of_a_later_release_is_garbled_though_it_is_signed() -> None:
    token = KEYS.token(link(act="dance"))
    assert flaw(KEYS, token) == "garbled"


def test_the_key_is_not_in_the_link() -> None:
    token = KEYS.token(link())
    said = base64.urlsafe_b64decode(token.split(".")[1] + "==")
    assert KEY not in token
    assert KEY.encode() not in said
    assert b"ada" in said


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ((), "LAYBY_LINK_KEY is empty: `openssl rand -base64 32` makes a key"),
        (("short",), "a key has 5 characters, and needs 32: `openssl rand"),
        ((KEY, "x" * 31), "a key has 31 characters"),
    ],
)
def test_keys_that_are_not_secret_enough_are_refused(keys: tuple[str, ...], why: str) -> None:
    with pytest.raises(InvalidSetup, match=why):
        LinkKeys(*keys)


def test_keys_come_from_the_environment() -> None:
    assert LinkKeys.from_env({}) is None
    assert LinkKeys.from_env({"LAYBY_LINK_KEY": ""}) is None
    keys = LinkKeys.from_env({"LAYBY_LINK_KEY": f"{OTHER}, {KEY}"})
    assert keys is not None
    assert keys.read(KEYS.token(link()), NOW) == link()
    assert LinkKeys(OTHER).read(keys.token(link()), NOW) == link()
    with pytest.raises(InvalidSetup, match="is empty"):
        LinkKeys.from_env({"LAYBY_LINK_KEY": " , "})
