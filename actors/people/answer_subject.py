"""The subject of an answer: for which ticket it is, who gives it, and what vouches for them."""

from __future__ import annotations

from typing import Final, NamedTuple

from ...runtime.vouched import VIA

_MARK: Final = "via-"


class Sender(NamedTuple):
    """Who answers, by the words that follow the ticket in a subject."""

    responder: str = ""
    """Their name; empty: the subject names nobody."""
    via: str = ""
    """The bridge that passed the answer on, one of `VIA`; empty: their own login sent it."""


NOBODY: Final = Sender()


def split_subject(subject: str) -> tuple[str, Sender]:
    """The ticket's token and the sender in an answer's subject, which has no app's prefix."""
    token, _, rest = subject.split(".", 2)[2].partition(".")
    return token, sender_of(rest)


def sender_of(rest: str) -> Sender:
    """The sender, by what follows the ticket; a name with a dot in it is not valid."""
    responder, _, mark = rest.partition(".")
    via = mark.removeprefix(_MARK)
    return Sender(responder, via) if mark.startswith(_MARK) and via in VIA else Sender(rest)


def sender_in(subject: str, role: str) -> Sender:
    """The sender in an answer's subject, with or without an app's prefix."""
    words = subject.split(".")
    for place in (-5, -4):
        if words[place : place + 2] == [role, "response"]:
            return sender_of(".".join(words[place + 3 :]))
    return NOBODY


def via_subject(plain: str, responder: str, via: str) -> str:
    """The subject of an answer that a bridge passes on for somebody."""
    return f"{plain}.{responder}.{_MARK}{via}"
