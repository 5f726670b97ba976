"""What a decision's file shows about the stored messages. Pure."""

from __future__ import annotations

from datetime import datetime

from ..actors.people.answer import Given, understood
from ..actors.people.answer_subject import NOBODY, sender_in
from ..runtime.quorum import roles_of
from ..runtime.vouched import SIGNATURE
from .decision_file import Check, Checks, Decision, Matter, Sent


def check_messages(decision: Decision) -> Checks:
    """Check by subject and text that each answer is from the person that the file names."""
    asked = decision.question
    for sent in decision.answers:
        senders = (sender_in(sent.subject, role) for role in roles_asked(decision))
        sender = next((each for each in senders if each != NOBODY), NOBODY)
        given = understood(sent.body.encode(), asked.ticket, sender, sent.signature)
        if not isinstance(given, Given):
            continue
        if sent.by != given.by:
            what = f"message {sent.seq} is from {given.by!r}, and the file says from {sent.by!r}"
            yield Check(ok=False, what=what)
        elif sent.vouched not in {given.vouched, SIGNATURE}:
            what = f"message {sent.seq} is vouched for by {given.vouched!r}, not {sent.vouched!r}"
            yield Check(ok=False, what=what)


def in_time(sent: Sent, asked: Matter) -> Check:
    """Whether an answer was stored before the deadline."""
    what = f"message {sent.seq} was stored before the deadline"
    return Check(not sent.at or not asked.deadline or unix(sent.at) <= unix(asked.deadline), what)


def roles_asked(decision: Decision) -> list[str]:
    """The roles that may answer: those asked, and those that it was escalated to."""
    rungs = decision.ladder or []
    escalated = [
        rung.to.removeprefix("role:")
        for rung in rungs
        if rung.to.startswith("role:") and rung.entry
    ]
    return list(dict.fromkeys((*roles_of(decision.question), *escalated)))


def unix(at: str) -> float:
    """A time of the file as Unix seconds; a time that cannot be read never comes."""
    try:
        return datetime.fromisoformat(at).timestamp()
    except ValueError:
        return float("inf")
