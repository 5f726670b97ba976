"""Who a question can be passed on to. Pure."""

from __future__ import annotations

from ...runtime.ladder import PERSON, ROLE
from ...runtime.ports import Ports
from ...runtime.state import Question
from ...runtime.tally import why_not_entitled
from .sent_acts import SentAct


def why_not_to(question: Question, sent: SentAct, ports: Ports) -> str:
    """Why a question cannot be passed on to somebody; empty if it can, or is not passed on."""
    to = sent.given.to
    if to.startswith(PERSON):
        return _why_not_person(question, sent, to.removeprefix(PERSON))
    return _why_not_role(question, sent, to.removeprefix(ROLE), ports) if to else ""


def _why_not_person(question: Question, sent: SentAct, person: str) -> str:
    if person == sent.given.person:
        return "you cannot pass it to yourself: claim it"
    if question.only and person != question.only:
        return f"only {question.only} may answer this question"
    return why_not_entitled(question, sent.role, person) if question.quorum is not None else ""


def _why_not_role(question: Question, sent: SentAct, role: str, ports: Ports) -> str:
    if question.only:
        return f"only {question.only} may answer this question"
    if question.quorum is not None:
        return f"several people decide this, and {role!r} would have no vote: name a person"
    if role not in ports.roles:
        return f"the app has no role {role!r}; it has {', '.join(ports.roles)}"
    if role == sent.role:
        return f"the role {role!r} is asked already: name a person"
    if role in ports.signers or question.role in ports.signers:
        return (
            f"one of {question.role!r} and {role!r} takes signed answers only, which count for the "
            "role that was asked: name a person"
        )
    return ""
