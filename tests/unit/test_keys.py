"""Keys and addresses are written and read in one place each, and what is written is read back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.actors import keys
from layby.actors.keys import Key
from layby.actors.kinds import AGENT, HUMAN, NETWORK, WORKFLOW, human_address, kind_of
from layby.bus.token import slug
from layby.runtime.address import Address

ROOT = Path(__file__).parents[2]
numbers = st.integers(0, 999_999_999)
decisions = st.none() | numbers
numbered = st.tuples(
    st.sampled_from([keys.ROUTE, keys.MODEL, keys.RESPONSE]), numbers, st.none(), decisions
)
placed = st.tuples(
    st.sampled_from([keys.TURN, keys.BEFORE, keys.APPROVE, keys.TOOL, keys.AFTER]),
    numbers,
    numbers,
    decisions,
)
written = (numbered | placed).map(lambda parts: Key(*parts))
kinds = st.sampled_from([WORKFLOW, NETWORK, AGENT, HUMAN])
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@given(written, st.text(max_size=20))
def test_a_key_is_read_as_it_was_written(key: Key, inner: str) -> None:
    assert Key.parse(str(key)) == (key, "")
    assert Key.parse(f"{key}/{inner}") == (key, inner) or key.kind == keys.ROUTE


@given(st.text(st.sampled_from("routemdl#.0123456789/pay"), max_size=24) | st.text(max_size=24))
def test_whatever_is_read_as_a_key_is_written_the_same(text: str) -> None:
    found = Key.parse(text)
    if found is not None:
        key, inner = found
        assert text.removesuffix("/") == (f"{key}/{inner}" if inner else str(key))


@pytest.mark.parametrize(
    ("text", "key", "inner"),
    [
        ("route#0/model#1", Key(keys.MODEL, 1, decision=0), ""),
        ("route#0/tools", Key(keys.ROUTE, 0), "tools"),
        ("route#3/tool#0.1/pay", Key(keys.TOOL, 0, 1, decision=3), "pay"),
        ("tool#0.1/pay/again", Key(keys.TOOL, 0, 1), "pay/again"),
    ],
)
def test_a_key_within_another(text: str, key: Key, inner: str) -> None:
    assert Key.parse(text) == (key, inner)


@pytest.mark.parametrize(
    "text",
    ["", "model", "model#", "model#01", "model#-1", "model#1.2", "tool#1", "pay#2", "model#٣"],
)
def test_a_text_that_no_agent_writes_is_not_a_key(text: str) -> None:
    assert Key.parse(text) is None


@given(kinds, names)
def test_an_address_is_read_as_it_was_written(kind: str, name: str) -> None:
    address = Address.of(kind, name)
    assert Address.parse(str(address)) == address == (kind, slug(name))
    assert kind_of(str(address)) == kind
    assert human_address("lead") == str(Address.of(HUMAN, "lead"))


@given(st.text(max_size=40))
def test_every_text_is_an_address_of_some_kind(text: str) -> None:
    if not text.startswith("-"):
        assert str(Address.parse(text)) == text


GRAMMAR = re.compile(
    r"""["']([^"'\n]*/)?(route|turn|model|response|before|approve|tool|after)\#"""
    r"""|["'](workflow|network|agent|human)-(\{|["'])""",
    re.VERBOSE,
)


def test_nobody_else_writes_or_reads_them() -> None:
    rooms = ("actors", "bus", "layby", "runtime", "tools")
    every = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    source = [path for path in every if path.parts[-2:] != ("actors", "keys.py")]
    assert len(source) > 100
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in source
        for line in path.read_text().splitlines()
        if GRAMMAR.search(line)
    ]
    assert not found
