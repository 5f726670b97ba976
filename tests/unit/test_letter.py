"""Whatever a question says, its mail has the headers that we wrote, and no others."""

from __future__ import annotations

import email
import re
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser
from typing import Any, cast

import pytest
from hypothesis import example, given

from layby.actors.people.channels.acts import Button
from layby.actors.people.channels.letter import (
    Envelope,
    closing_letter,
    is_whole,
    letter,
    message_id,
)
from layby.channels import Card
from tests.cards import card, cards

HEADERS = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "X-Auto-Response-Suppress",
    "MIME-Version",
    "Content-Type",
]
ENVELOPE = Envelope(
    sender=Address("Layby", addr_spec="layby@acme.example"),
    to=Address(addr_spec="ada@acme.example"),
    id="<1@acme.example>",
)
BUTTONS = [Button(label="Approve", url="https://layby.acme.example/answer/a.b.c", act="approve")]


class Elements(HTMLParser):
    """The elements of a page, and where its links lead."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]
        assert not [name for name, _ in attrs if name.startswith("on")]


def parsed(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=default)
    assert not message.defects
    return message


def part(message: EmailMessage, kind: str) -> str:
    found: str = cast("Any", message.get_body((kind,))).get_content()
    return found.replace("\r\n", "\n")


@given(cards())
@example(card(ticket="=?", text="0" * 200))
def test_any_card_gives_a_mail_with_our_headers_alone(asked: Card) -> None:
    raw = letter(asked, ENVELOPE, BUTTONS)
    message = parsed(raw)
    assert [*message.keys()] == HEADERS
    assert str(message["To"]) == "ada@acme.example"
    assert str(message["From"]) == "Layby <layby@acme.example>"
    subject = str(message["Subject"])
    assert len(subject) <= 160
    assert "\n" not in subject
    assert "\r" not in subject
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert b"\n" not in raw.replace(b"\r\n", b"")


@given(cards())
def test_any_card_gives_html_with_our_elements_and_links_alone(asked: Card) -> None:
    page = Elements(part(parsed(letter(asked, ENVELOPE, BUTTONS)), "html"))
    allowed = {"html", "head", "meta", "title", "body", "div", "h1", "h2", "p", "pre", "a"}
    assert page.tags <= allowed
    assert page.links == [BUTTONS[0].url]


@given(cards())
def test_what_comes_from_outside_cannot_pose_as_a_line_of_ours(asked: Card) -> None:
    lines = part(parsed(letter(asked, ENVELOPE, BUTTONS)), "plain").splitlines()
    assert lines.count("Approve:") == 1
    assert [line for line in lines if line.startswith("http")] == [BUTTONS[0].url]


@given(cards())
def test_any_closed_card_gives_a_mail_in_its_thread(asked: Card) -> None:
    follows = Envelope(
        sender=ENVELOPE.sender, to=ENVELOPE.to, id="<2@acme.example>", follows="<1@acme.example>"
    )
    message = parsed(closing_letter(asked, follows))
    assert {*message.keys()} == {*HEADERS, "In-Reply-To", "References"}
    assert message["References"] == "<1@acme.example>"


def test_a_long_text_says_that_it_was_cut() -> None:
    long = card(context="x" * 20_123)
    assert not is_whole(long)
    text = part(parsed(letter(long, ENVELOPE, [])), "plain")
    assert "[cut here: 123 more characters" in text


def test_a_line_that_poses_as_a_button_is_quoted() -> None:
    text = part(
        parsed(letter(card(text="Hi\nApprove:\nhttps://evil.example"), ENVELOPE, [])), "plain"
    )
    assert "> https://evil.example" in text
    assert not re.search("^https://evil", text, re.MULTILINE)


@pytest.mark.parametrize("parts", [("a",), ("a", "b"), ("\ud800",), ("x" * 10_000,)])
def test_a_message_id_is_the_same_for_the_same_parts(parts: tuple[str, ...]) -> None:
    found = message_id("acme.example", *parts)
    assert found == message_id("acme.example", *parts)
    assert re.fullmatch(r"<[0-9a-f]{40}@acme\.example>", found)
    assert found != message_id("acme.example", *parts, "")
