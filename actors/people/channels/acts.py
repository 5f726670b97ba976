"""The links in a mail: which acts of which person it offers, and where they lead."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote, urlsplit

from ....runtime.channel import Card
from ....runtime.errors import InvalidSetup
from ....runtime.index import ENCRYPTED
from ..answer_link import Act, AnswerLink, LinkKeys

Links = Literal["safe", "all", "none"]
"""Which questions have links that answer them: `all`; `safe`: all of them, but no link approves a
call of a tool; `none`: no question."""
CONSOLE: Final = "LAYBY_CONSOLE_URL"
"""The variable with the address of the console."""
VIA: Final = "link"
"""What vouches for a person who answers by a link."""
_LONGER: Final = 7 * 86_400
"""Seconds for which a link still shows how the question ended."""
_CHOICES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A link of a mail.

    Attributes:
        label: What it says.
        url: Where it leads.
        act: What it does there; empty: it leads to the console, where people sign in.
    """

    label: str
    url: str
    act: Act | Literal[""] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acts:
    """Makes the links of one channel, in one process.

    Attributes:
        links: Which questions have links that answer them.
        keys: Sign them; None: there are none.
        console: The address of the console, without a slash at its end; empty: there is none.
    """

    links: Links
    keys: LinkKeys | None = None
    console: str = ""

    @classmethod
    def from_env(cls, links: Links, environ: Mapping[str, str] = os.environ) -> Acts:
        """Read LAYBY_LINK_KEY and LAYBY_CONSOLE_URL. Raises InvalidSetup."""
        console = environ.get(CONSOLE, "").rstrip("/")
        try:
            parts = urlsplit(console)
            is_url = parts.scheme in {"http", "https"} and bool(parts.hostname)
        except ValueError:
            parts, is_url = urlsplit(""), False
        if console and (not is_url or parts.query or parts.fragment or "@" in parts.netloc):
            raise InvalidSetup(
                f"{CONSOLE} is not the address of a console: write it as https://layby.acme.example"
            )
        keys = LinkKeys.from_env(environ)
        if keys is not None and not console and links != "none":
            raise InvalidSetup(f"LAYBY_LINK_KEY is set and {CONSOLE} is not: links lead there")
        return cls(links=links, keys=keys, console=console)

    def of(self, card: Card, person: str, *, shows_all: bool = True) -> list[Button]:
        """The links of a card for one person.

        Args:
            card: The card; it is open.
            person: Who gets them; empty: several people, who get no link that answers.
            shows_all: Whether the mail shows everything that is approved.
        """
        if not self.console:
            return []
        offered = self._offered(card, person, shows_all=shows_all)
        inbox = f"{self.console}/inbox/{quote(card.question, safe='')}"
        return [*offered, Button(label="Open in the console", url=inbox)]

    def _offered(self, card: Card, person: str, *, shows_all: bool) -> list[Button]:
        counts = not card.accept or VIA in card.accept
        if self.keys is None or self.links == "none" or not person or not counts:
            return []
        if card.text == ENCRYPTED:
            return []  # nobody can see what they would answer
        if card.digest:
            approves = self.links == "all" and shows_all
            approve = [self._button(card, person, "Approve", "approve")] if approves else []
            return [*approve, self._button(card, person, "Reject", "reject")]
        if 0 < len(card.choices) <= _CHOICES:
            return [self._button(card, person, choice, "choose", choice) for choice in card.choices]
        return [self._button(card, person, "Answer", "open")]

    def _button(self, card: Card, person: str, label: str, act: Act, choice: str = "") -> Button:
        assert self.keys is not None  # noqa: S101  who calls has looked
        link = AnswerLink(
            question=card.question,
            role=card.role,
            ticket=card.ticket,
            digest=card.digest,
            person=person,
            act=act,
            choice=choice,
            until=int(card.deadline) + _LONGER,
        )
        return Button(label=label, url=f"{self.console}/answer/{self.keys.token(link)}", act=act)
