"""Traces come from outside: what is not W3C's form is no trace, whatever it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.runtime.trace_context import carrier, checked, headers, trace_id

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
STATE = "vendor=some value,other=2"


def test_a_trace_is_kept_as_one_text_and_continued_from_it() -> None:
    both = {"traceparent": PARENT, "tracestate": STATE}
    assert carrier(both) == f"{PARENT} {STATE}"
    assert headers(carrier(both)) == both
    assert headers(carrier({"traceparent": PARENT})) == {"traceparent": PARENT}
    assert trace_id(carrier(both)) == TRACE


def test_a_message_without_a_trace_has_none() -> None:
    assert carrier({}) == ""
    assert carrier({"tracestate": STATE}) == ""
    assert headers("") == {}
    assert trace_id("") == ""


@pytest.mark.parametrize(
    "hostile",
    [
        "00",
        PARENT.upper(),
        PARENT + "-more",
        PARENT.replace("00-", "ff-", 1),
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-b7ad6b7169203331-0１",  # noqa: RUF001  a digit, but not of ASCII
        PARENT + "\n",
        "\udc80" * 55,
        "x" * 1_000_000,
    ],
)
def test_a_hostile_trace_is_ignored(hostile: str) -> None:
    assert carrier({"traceparent": hostile, "tracestate": STATE}) == ""
    assert checked(hostile) == ""
    assert trace_id(hostile) == ""


@pytest.mark.parametrize("state", ["", "\x00", "a=\n", "ü=1", "a" * 513, "\udc80"])
def test_a_hostile_state_is_left_out_and_the_trace_stays(state: str) -> None:
    assert carrier({"traceparent": PARENT, "tracestate": state}) == PARENT
    assert headers(f"{PARENT} {state}") == {"traceparent": PARENT}


@given(st.text(st.characters(), max_size=200), st.text(st.characters(), max_size=600))
def test_whatever_comes_is_a_valid_trace_or_none(parent: str, state: str) -> None:
    for kept in (carrier({"traceparent": parent, "tracestate": state}), checked(parent)):
        assert kept == "" or headers(kept)["traceparent"] == kept[:55]
    kept = carrier({"traceparent": PARENT, "tracestate": state})
    assert kept.isascii()
    assert len(kept) <= 55 + 1 + 512
    assert checked(kept) == kept
