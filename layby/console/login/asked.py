"""Which of a question's roles a person answers for here."""

from __future__ import annotations

from ...runtime.quorum import may_answer_for
from ...views.rows import QuestionRow
from .session import Session, sender_of


def may_see(question: QuestionRow, session: Session) -> bool:
    """Whether this person may see a question."""
    return any(session.rights.sees(role) for role in question.roles)


def may_answer(question: QuestionRow, session: Session) -> bool:
    """Whether this person may answer for one of the roles that are asked."""
    return session.rights.answers_one_of(question.roles)


def role_here(question: QuestionRow, session: Session) -> str:
    """The role for which this person answers a question, if they may: their own before others."""
    roles = [role for role in question.roles if session.rights.answers(role)]
    own = may_answer_for(question, sender_of(session, question.role)[0] or "")
    return next((role for role in roles if role in own), [*roles, question.role][0])
