"""A message as it comes off the wire: whose its headers are, and whether it is a status."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layby.bus.errors import BusError
from layby.bus.wire import Message
from layby.bus.wire import _block as block_of  # pyright: ignore[reportPrivateUsage]
from tests.examples import examples


def message(block: bytes, reply: bytes = b"", subject: bytes = b"a.b") -> Message:
    return Message(subject, reply, b"body", block)


@pytest.mark.parametrize(
    ("block", "reply", "status"),
    [
        (b"NATS/1.0 503\r\n\r\n", b"", "503"),
        (b"NATS/1.0 404 No Messages\r\n\r\n", b"", "404"),
        (b"NATS/1.0\r\nA: b\r\n\r\n", b"", ""),
        (b"", b"", ""),
        (b"NATS/1.0 503\r\n\r\n", b"reply.to", ""),
        (b"NATS/1.0 404 x\r\nNats-Sequence: 7\r\n\r\n", b"", ""),
        (b"NATS/1.0 abc\r\n\r\n", b"", ""),
        (b"NATS/1.0 12", b"", "12"),
    ],
)
def test_only_what_the_server_says_is_a_status(block: bytes, reply: bytes, status: str) -> None:
    assert message(block, reply).status == status


def test_a_status_has_its_words() -> None:
    found = message(b"NATS/1.0 404 No Messages\r\nA: b\r\n\r\n").headers
    assert found == {"A": "b", "Status": "404", "Description": "No Messages"}


def test_of_a_senders_header_the_first_counts_and_of_the_servers_the_last() -> None:
    block = (
        b"NATS/1.0\r\nA: 1\r\nA: 2\r\nNats-Sequence: 1\r\nNats-Subject: forged\r\n"
        b"Nats-Sequence: 9\r\nNats-Subject: real\r\n\r\n"
    )
    assert message(block).headers == {"A": "1", "Nats-Sequence": "9", "Nats-Subject": "real"}


def test_a_line_without_a_colon_is_nothing_and_a_value_may_have_one() -> None:
    assert message(b"NATS/1.0\r\nnothing\r\nAt: 12:00\r\nEmpty:\r\n\r\n").headers == {
        "At": "12:00",
        "Empty": "",
    }


def test_the_lines_in_the_middle_of_a_flood_of_headers_are_not_read() -> None:
    lines = [b"H%d: x" % number for number in range(1_000)]
    block = b"NATS/1.0\r\n" + b"\r\n".join([*lines, b"Nats-Sequence: 9"]) + b"\r\n\r\n"
    found = message(block).headers
    assert found["Nats-Sequence"] == "9"
    assert "H0" in found
    assert "H500" not in found
    assert len(found) < 300


def test_all_lines_of_a_block_that_is_not_a_flood_are_read() -> None:
    lines = b"".join(b"H%d: x\r\n" % number for number in range(200))
    assert len(message(b"NATS/1.0\r\n" + lines + b"\r\n").headers) == 200


def test_a_subject_that_is_no_text_is_shown_and_marked() -> None:
    found = message(b"", subject=b"a.\xff")
    assert (found.is_text, found.subject) == (False, "a.\\xff")
    assert message(b"", b"r.\xfe").reply == "r.\\xfe"
    assert message(b"").is_text


def test_its_size_is_what_the_server_counts() -> None:
    assert message(b"NATS/1.0\r\n\r\n").size == len(b"body") + 12


# -- headers that are sent --------------------------------------------------------------------

NAMES = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=':"'), min_size=1
)


@settings(deadline=None, database=None, max_examples=examples(200))
@given(st.dictionaries(NAMES, st.text(max_size=20), max_size=5))
def test_headers_are_read_as_they_were_sent_and_none_adds_another(headers: dict[str, str]) -> None:
    block = block_of(headers)
    assert block.count(b"\r\n") == len(headers) + 2
    found = message(block).headers
    assert found.keys() == headers.keys()
    for name, value in headers.items():
        assert found[name].split() == value.split()


@pytest.mark.parametrize("name", ["", "a b", "a:b", "ä", "a\r\nb", "a\n"])
def test_a_name_that_could_be_something_else_is_refused(name: str) -> None:
    with pytest.raises(BusError, match="cannot be the name of a header"):
        block_of({name: "x"})
