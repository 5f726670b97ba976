"""A question as it is published: the JSON that people, bridges and the nats CLI read."""

from __future__ import annotations

from ...bus.names import Names
from ...bus.token import encode
from ...runtime.question_fields import fields_of
from ...runtime.signature import HEADER, digest
from ...runtime.vouching import Signers
from .answer_lines import accepted_from, answer_subject, form_for
from .parked_question import ParkedQuestion


def published_question(
    names: Names, ticket: str, question: ParkedQuestion, lines: tuple[str, ...], signers: Signers
) -> dict[str, object]:
    """The message that shows a question to people.

    Args:
        names: The app's names.
        ticket: The question's ticket.
        question: The question as everybody may see it.
        lines: Shell commands that answer exactly this question.
        signers: The roles that sign their answers.
    """
    accept = accepted_from(question, question.role)
    return {
        "id": question.id,
        "ticket": ticket,
        **fields_of(question, ("role", "question", "context", "agent")),
        "run": question.run,
        "asked_at": question.asked_at,
        "deadline": question.deadline,
        "answer": {
            "subject": names.subject(answer_subject(ticket, question)),
            "receipt": names.subject(f"{question.role}.receipt.{encode(ticket)}"),
            "form": form_for(question),
            **({"schema": question.form} if question.form is not None else {}),
        },
        "form": question.form,
        "digest": question.digest,
        "answer_with": lines,
        **({"accept": accept} if accept else {}),
        **({"quorum": question.quorum} if question.quorum is not None else {}),
        **({"to": question.to} if question.to else {}),
        **({"only": question.only} if question.only else {}),
        **({"asked_of": question.asked_of} if question.asked_of else {}),
        **({"encrypted": True, "sealed": question.sealed} if question.sealed else {}),
        **(_to_sign(question, signers) if question.role in signers else {}),
    }


def _to_sign(question: ParkedQuestion, signers: Signers) -> dict[str, object]:
    """What a signature on the answer must cover, and who can make one."""
    return {
        "call": question.call,
        "sign": {
            "header": HEADER,
            # The digest of a confidential question would confirm a guess.
            **({} if question.sealed else {"sha256": digest(question)}),
            "people": sorted(signers.roles[question.role].keys),
        },
    }
