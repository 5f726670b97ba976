"""Questions: list, show, answer."""

from __future__ import annotations

import re
from typing import Any, Final

from ...actors.people.answer import TAKEN, Receipt
from ...client import NoSuchQuestion
from ...runtime.act_records import Verb
from ..acting import RECORDED, MayNot, act
from ..catalogue.entries import QuestionThread
from ..catalogue.query import InvalidCursor, QuestionQuery
from ..login.asked import may_answer, may_see, role_here
from ..login.session import sender_of
from .operation import Call, Nothing
from .problem import AnswerLost, InvalidRequest, NotAccepted, NotAllowed
from .values import Answer, AskingBack, Claim, Passing, QuestionList, QuestionPath, QuestionsQuery

_ID: Final = re.compile(r"q[0-9a-f]{13}")
_INVALID: Final = frozenset({"invalid", "ambiguous"})


async def list_questions(call: Call[Nothing, QuestionsQuery, Nothing]) -> QuestionList:
    """List questions: the open ones, or those that are closed, a page at a time."""
    wanted = call.query
    if wanted.state == "open" or (wanted.state is None and not wanted.by):
        return await _open(call)
    query = QuestionQuery(
        with_open=wanted.state == "all",
        by=wanted.by or None,
        role=wanted.role or None,
        roles=call.session.rights.seen,
        ticket=wanted.ticket or None,
        text=wanted.text or None,
        cursor=wanted.cursor or None,
        limit=wanted.limit,
    )
    catalogue = call.console.catalogue
    try:
        page = await catalogue.history(query)
    except InvalidCursor as error:
        raise InvalidRequest(str(error), "cursor") from None
    return QuestionList(
        questions=[each.question for each in page.items],
        total=await catalogue.count_questions(query),
        answers={each.question.id: each.won for each in page.items if each.won is not None},
        next=page.next,
    )


async def _open(call: Call[Nothing, QuestionsQuery, Nothing]) -> QuestionList:
    wanted = call.query
    if wanted.cursor:
        raise InvalidRequest("cursor: the list of open questions has one page", "cursor")
    found = await call.console.catalogue.questions(
        wanted.role or None, wanted.ticket or None, wanted.text or None
    )
    seen = [] if wanted.by else [row for row in found if may_see(row, call.session)]
    return QuestionList(questions=seen[: wanted.limit], total=len(seen))


async def show_question(call: Call[QuestionPath, Nothing, Nothing]) -> QuestionThread:
    """Show a question, open or closed, with its answers."""
    return await _thread(call)


async def answer_question(call: Call[QuestionPath, Nothing, Answer]) -> Receipt:
    """Answer a question, and get the receipt.

    Another answer may win: that is 409, with the receipt that says which. If no worker runs, the
    answer is stored, and applied when one does: that is 202.

    Raises:
        AnswerLost: it was closed before.
        NotAccepted: it does not accept this answer.
    """
    question, session = (await _thread(call)).question, call.session
    if not may_answer(question, session):
        raise NotAllowed(f"{session.name!r} may not answer questions to {question.role!r}")
    if call.body.answer is None:
        raise InvalidRequest("answer: it is null, and silence is never a yes", "answer")
    role = role_here(question, session)
    responder, via = sender_of(session, role)
    receipt = await session.client.answer(
        question.ticket,
        call.body.answer,
        role=role,
        question_id=question.id,
        by=session.name,
        responder=responder,
        via=via,
    )
    if receipt.outcome not in TAKEN:
        raise (NotAccepted if receipt.outcome in _INVALID else AnswerLost)(receipt)
    return receipt


async def claim_question(call: Call[QuestionPath, Nothing, Claim]) -> Receipt:
    """Claim a question: everybody sees that you are on it, and nobody else is reminded.

    If somebody else has claimed it, that is 409, with the receipt that says who and until when.
    """
    return await _act(call, "claim", minutes=call.body.minutes)


async def pass_question(call: Call[QuestionPath, Nothing, Passing]) -> Receipt:
    """Pass a question on: somebody else is asked too, at once."""
    return await _act(call, "pass", to=call.body.to)


async def decline_question(call: Call[QuestionPath, Nothing, Nothing]) -> Receipt:
    """Decline a question; when nobody who was asked is left, the next escalation is reached."""
    return await _act(call, "decline")


async def ask_back(call: Call[QuestionPath, Nothing, AskingBack]) -> Receipt:
    """Ask back: the asker of the question replies, and it stays open.

    The receipt is that of the question back, or already that of the reply. Later, the question and
    the feed have the reply.
    """
    return await _act(call, "ask-back", text=call.body.text)


async def _act(call: Call[QuestionPath, Any, Any], verb: Verb, **said: Any) -> Receipt:
    """Say something to the question in the path. Raises NotAccepted, AnswerLost."""
    question = (await _thread(call)).question
    try:
        receipt = await act(call.session, question, verb, **said)
    except MayNot as error:
        raise NotAllowed(str(error)) from None
    if receipt.outcome not in RECORDED:
        raise (NotAccepted if receipt.outcome in _INVALID else AnswerLost)(receipt)
    return receipt


async def _thread(call: Call[QuestionPath, Any, Any]) -> QuestionThread:
    """The question in the path. Raises NoSuchQuestion, even for one that they may not see."""
    id_ = call.path.id
    found = await call.console.catalogue.question_soon(id_) if _ID.fullmatch(id_) else None
    if found is None or not may_see(found.question, call.session):
        raise NoSuchQuestion(f"there is no question {id_!r}")
    return found
