"""What a request to the inbox is about: a question as this person sees it."""

from __future__ import annotations

import re

from starlette.requests import Request

from ..console import console_of
from ..login.asked import may_see
from ..login.session import session_of
from . import inbox_source as source
from .inbox_answer import Draft, Sent, SentAnswers
from .inbox_evidence import Evidence, EvidenceReader
from .inbox_history import texts_of
from .inbox_view import Opened, opened


async def open_view(
    request: Request,
    question: str,
    *,
    draft: Draft | None = None,
    sent: Sent | None = None,
    patient: bool = True,
) -> Opened | None:
    """A question as this person sees it; None if there is none, or it is not for them.

    `patient`: wait for the evidence to be read, where that is not known yet.
    """
    session = session_of(request)
    thread = await source.thread(request, question)
    if thread is None or not may_see(thread.question, session):
        return None
    if sent is None and (seq := sent_seq(request)):
        sent = sent_answers(request).get(int(seq), question)
    [thread] = await texts_of(request).of([thread])
    return opened(
        thread,
        session,
        await evidence_of(request, thread) if patient else _reader(request).known(question),
        draft=draft,
        sent=sent,
        read_only=console_of(request).options.read_only,
        run_status=await source.run_status(request, thread.question.run),
    )


async def evidence_of(request: Request, thread: source.Thread) -> Evidence:
    """What is known of the run before a question."""
    return await _reader(request).read(session_of(request).client, thread.question)


def role_of(request: Request) -> str:
    """The role whose questions are shown; empty: all."""
    return request.query_params.get("role", "")


def sent_seq(request: Request) -> str:
    """The sequence of the answer that was sent from here."""
    seq = request.query_params.get("sent", "")
    return seq if re.fullmatch(r"[0-9]{1,15}", seq) else ""


def sent_answers(request: Request) -> SentAnswers:
    """The answers that were sent from this console."""
    state = request.app.state
    if not hasattr(state, "sent_answers"):
        state.sent_answers = SentAnswers()
    found: SentAnswers = state.sent_answers
    return found


def _reader(request: Request) -> EvidenceReader:
    state = request.app.state
    if not hasattr(state, "evidence"):
        state.evidence = EvidenceReader()
    found: EvidenceReader = state.evidence
    return found
