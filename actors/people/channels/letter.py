"""What a mail says: a card as its subject, its text and its HTML."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from ....runtime.channel import Card
from ....runtime.untrusted_text import safe
from .acts import Button
from .reply_words import CONFIDENTIAL, reply_words

if TYPE_CHECKING:  # only a process that sends mail loads it
    from jinja2 import Template

_POLICY: Final = SMTP.clone(cte_type="7bit")  # every server takes it
_LONGEST: Final = 20_000
"""Characters of one text in a mail."""
_SUBJECT: Final = 160
_NOT_READ: Final = "Nobody reads replies to this mail."
_OWN: Final = (
    "These links are yours: anybody who has them can answer in your name. Do not forward this mail."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a mail.

    Attributes:
        title: Its heading, ours.
        text: What it says; may come from outside.
        is_code: Whether its spaces matter.
    """

    title: str
    text: str
    is_code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Who a mail is from and to, and which mail it follows.

    Attributes:
        sender: As a header shows it.
        to: The address.
        id: Its Message-ID.
        follows: The Message-ID of the mail that it belongs to; empty: it is the first.
    """

    sender: Address
    to: Address
    id: str
    follows: str = ""


def is_whole(card: Card) -> bool:
    """Whether a mail shows all of what is asked, a call's exact arguments included."""
    longest = max(len(card.text), len(card.context), len(card.arguments))
    return longest <= _LONGEST and (bool(card.arguments) or not card.digest)


def letter(card: Card, envelope: Envelope, buttons: list[Button]) -> bytes:
    """The mail that shows an open card."""
    return _mail(
        envelope,
        subject=_subject(card, is_reply=bool(envelope.follows)),
        title=_title(card),
        lead=_lead(card),
        sections=_sections(card),
        buttons=buttons,
        lines=card.answer_with,
        foot=[*([_OWN] if any(each.act for each in buttons) else []), _NOT_READ, _about(card)],
    )


def closing_letter(card: Card, envelope: Envelope) -> bytes:
    """The mail that says how a question ended."""
    said = card.outcome or card.status
    return _mail(
        envelope,
        subject=_subject(card, is_reply=True),
        title=f"This question is closed: {card.status.replace('_', ' ')}",
        lead="You need not answer it any more.",
        sections=[Section(title="How it ended", text=_cut(said))],
        foot=[_NOT_READ, _about(card)],
    )


def message_id(domain: str, *parts: str) -> str:
    """A Message-ID, the same for the same parts."""
    digest = hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()
    return f"<{digest[:40]}@{domain}>"


def _subject(card: Card, *, is_reply: bool) -> str:
    again = "Re: " if is_reply else ""
    line = _line(f"{again}[{card.ticket}] {card.role}: {card.text}", _SUBJECT)
    # Python decodes what looks like an encoded word, and up to 3.11.9 a line break in it begins
    # another header.
    return _line(line.replace("=?", "= ?"), _SUBJECT)


def _title(card: Card) -> str:
    if card.kind == "reminder":
        return f"Reminder {card.number}"
    if card.kind == "escalation":
        also = f", asked of {card.asked_of} first" if card.asked_of else ""
        return f"Escalation: nobody has answered this question{also}"
    return "A call needs approval" if card.digest else "A question for you"


def _lead(card: Card) -> str:
    who = card.agent or "The workflow" + (f" {card.workflow}" if card.workflow else "")
    whom = card.to.partition(":")[2] or ", ".join(card.told) or card.role
    return f"{who} asks {whom} about ticket {card.ticket}."


def _sections(card: Card) -> list[Section]:
    """What is asked, and what it takes to answer it."""
    left = f"{_utc(card.deadline)}. If nobody answers: {card.silence}"
    found = [
        Section(title="Question", text=_cut(card.text)),
        Section(title="Context", text=_cut(card.context)),
        Section(title="Tool", text=card.tool, is_code=True),
        Section(title="Exact arguments", text=_cut(card.arguments), is_code=True),
        Section(title="Digest", text=card.digest, is_code=True),
        Section(title="Choices", text=" / ".join(card.choices)),
        Section(title="Who decides", text=card.needed),
        Section(title="Votes", text="\n".join(_vote(card))),
        Section(title="Asked back", text=_cut("\n".join(_asked_back(card)))),
        Section(title="Answer before", text=left),
    ]
    return [each for each in found if each.text]


def _vote(card: Card) -> list[str]:
    return [f"{each.by} of {each.role}: {each.choice}" for each in card.votes]


def _asked_back(card: Card) -> list[str]:
    lines: list[str] = []
    for each in card.asked_back:
        lines.append(f"{each.by} asked: {each.text or CONFIDENTIAL}")
        lines.append(reply_words(each, "The reply"))
    return lines


def _about(card: Card) -> str:
    return f"Question {card.question}, run {card.run}"


def _mail(
    envelope: Envelope,
    *,
    subject: str,
    title: str,
    lead: str,
    sections: list[Section],
    foot: list[str],
    buttons: list[Button] = [],  # noqa: B006  nobody changes it
    lines: tuple[str, ...] = (),
) -> bytes:
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = envelope.sender
    mail["To"] = envelope.to
    mail["Subject"] = subject
    mail["Date"] = format_datetime(datetime.fromtimestamp(int(time.time()), UTC))
    mail["Message-ID"] = envelope.id
    if envelope.follows:
        mail["In-Reply-To"] = envelope.follows
        mail["References"] = envelope.follows
    mail["Auto-Submitted"] = "auto-generated"  # or out-of-office notes come back
    mail["X-Auto-Response-Suppress"] = "All"
    values: dict[str, Any] = {
        "title": safe(title),
        "lead": safe(lead),
        "sections": [replace(each, text=safe(each.text)) for each in sections],
        "buttons": [replace(each, label=_line(each.label, _SUBJECT)) for each in buttons],
        "lines": [safe(each) for each in lines],
        "foot": [safe(each) for each in foot],
    }
    mail.set_content(_text(**values))
    mail.add_alternative(_template().render(values), subtype="html")
    return mail.as_bytes()


def _text(
    *,
    title: str,
    lead: str,
    sections: list[Section],
    buttons: list[Button],
    lines: list[str],
    foot: list[str],
) -> str:
    """The mail without HTML. What comes from outside is quoted, so that it cannot pose as ours."""
    found = [title, "", *_quoted(lead, "")]
    for each in sections:
        found += ["", f"{each.title}:", *_quoted(each.text, "> ")]
    for button in buttons:
        found += ["", f"{button.label}:", button.url]
    if lines:
        found += ["", "In a terminal:", *(f"  {line}" for line in lines)]
    return "\n".join([*found, "", "-- ", *foot, ""])


def _quoted(text: str, mark: str) -> list[str]:
    return [f"{mark}{line}" for line in text.splitlines()]


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=PackageLoader(__package__ or "layby"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("letter.html")


def _line(text: str, most: int) -> str:
    line = safe(" ".join(text.split()))
    return line if len(line) <= most else f"{line[: most - 3]}..."


def _cut(text: str) -> str:
    left = len(text) - _LONGEST
    if left <= 0:
        return text
    return f"{text[:_LONGEST]}\n[cut here: {left:,} more characters; the question itself has them]"


def _utc(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(min(max(at, 0.0), 253_402_300_799.0)))
