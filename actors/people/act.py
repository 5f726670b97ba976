"""What people say to a question besides answering it. Pure: no clock, no network."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple, cast

from ...bus.token import is_word
from ...runtime.act_records import VERBS, Verb
from ...runtime.ask_back_records import ASK_BACK
from ...runtime.ask_backs import LONGEST
from ...runtime.vouched import NATS
from .answer import Refused
from .answer_subject import sender_of

DEFAULT_CLAIM = 30.0
"""Minutes after which a claim expires."""
LONGEST_CLAIM = 24 * 60.0
_TO = re.compile(r"role:[a-z][a-z0-9_-]{0,31}|person:[A-Za-z0-9_-]{1,200}")

_VERBS: dict[str, Verb] = {verb: verb for verb in VERBS}
_TEXTS: dict[Verb, str] = {"pass": "to", ASK_BACK: "text"}
"""The field that a plain text body stands for."""


class Place(NamedTuple):
    """What the subject of an act says: `developer.claim.T125.ada`, or `....ada.via-slack`."""

    verb: Verb
    token: str
    """The ticket's."""
    person: str
    vouched: str


class GivenAct(NamedTuple):
    """An act that can be understood."""

    verb: Verb
    person: str
    vouched: str
    question_id: str = ""
    """The question that it is for; empty: the only open one of the role on the ticket."""
    to: str = ""
    """For a pass: `role:lead` or `person:bob`."""
    minutes: float = DEFAULT_CLAIM
    """For a claim: how long it holds; 0 releases it."""
    text: str = ""
    """If somebody asks back: what they want to know."""


def place_of(subject: str) -> Place | Refused:
    """Read a subject, without the app's prefix."""
    _, verb, token, rest = [*subject.split(".", 3), "", "", ""][:4]
    person, via = sender_of(rest)
    known: Verb | None = _VERBS.get(verb)
    if known is None:
        return Refused(f"this release knows no act {verb[:40]!r}")
    if not is_word(person):
        return Refused(
            f"the subject must end in who you are, in letters, digits, _ and -: "
            f"...{verb}.{token[:60]}.YOUR_NAME"
        )
    return Place(known, token, person, via or NATS)


def understood_act(place: Place, data: bytes, ticket: str) -> GivenAct | Refused:
    """Understand the body of an act: nothing, a JSON object, or plain text.

    Plain text says who a pass goes to, or what somebody asks back.
    """
    try:
        text = data.decode("utf-8").strip()
    except UnicodeDecodeError:
        return Refused("it is not UTF-8 text")
    if text and not text.startswith("{"):
        if place.verb not in _TEXTS:
            return Refused(f'a {place.verb} has no text: send nothing, or {{"questionId": "..."}}')
        body: dict[str, Any] = {_TEXTS[place.verb]: text}
    else:
        try:
            body = cast("dict[str, Any]", json.loads(text or "{}"))
        except (ValueError, RecursionError):
            return Refused("it begins like JSON but is not valid JSON: check its quotes and braces")
    return _from_object(place, body, ticket)


def _from_object(place: Place, body: dict[str, Any], ticket: str) -> GivenAct | Refused:
    named = body.get("ticketId", ticket)
    if not isinstance(named, str | int) or str(named) != ticket:
        return Refused("it says it is for a different ticket than its subject")
    question = body.get("questionId") or ""
    if not isinstance(question, str) or not question.isascii():
        return Refused('the field "questionId" must be a question\'s id')
    given = GivenAct(place.verb, place.person, place.vouched, question[:200])
    if place.verb == "pass":
        to = body.get("to")
        if not isinstance(to, str) or not _TO.fullmatch(to):
            return Refused('say who it goes to: {"to": "role:lead"} or {"to": "person:bob"}')
        return given._replace(to=to)
    if place.verb == ASK_BACK:
        return _with_text(given, body.get("text"))
    return _with_minutes(given, body.get("minutes", DEFAULT_CLAIM))


def _with_text(given: GivenAct, text: Any) -> GivenAct | Refused:
    if not isinstance(text, str) or not text.strip():
        return Refused('say what you want to know: {"text": "..."}')
    if len(text) > LONGEST:
        return Refused(f"it has {len(text)} characters, more than {LONGEST}: shorten it")
    try:
        text.encode()
    except UnicodeEncodeError:  # JSON can write one with an escape
        return Refused("it contains half of a surrogate pair, which UTF-8 cannot encode")
    return given._replace(text=text.strip())


def _with_minutes(given: GivenAct, minutes: Any) -> GivenAct | Refused:
    if given.verb != "claim":
        return given
    is_number = isinstance(minutes, int | float) and not isinstance(minutes, bool)
    if is_number and 0 <= minutes <= LONGEST_CLAIM:
        return given._replace(minutes=float(minutes))
    return Refused(
        f'the field "minutes" must be a number from 0, which releases it, to {LONGEST_CLAIM:g}'
    )
