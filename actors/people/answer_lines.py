"""Shell commands that answer exactly one question, ready to paste."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any, Protocol

from ...bus.names import Names
from ...bus.token import encode
from ...runtime.form_text import choices, describe, example
from ...runtime.quorum import Quorum, roles_of
from ...runtime.vouched import NATS, NONE, SIGNATURE, VIA
from .answer_subject import via_subject

_TEXT = "your answer"
_ANSWER = 'the field "answer" of {"answer": ..., "questionId": "...", "by": "..."}, or alone:'
YOUR_NAME = "YOUR_NAME"
"""The placeholder in a subject for the name of the person who answers."""


class Answerable(Protocol):
    """What answering needs to know about a question, in any of its shapes."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def role(self) -> str:
        """Who is asked."""
        ...

    @property
    def form(self) -> dict[str, Any] | None:
        """What an answer must be; None: any text."""
        ...

    @property
    def digest(self) -> str:
        """The digest of the call to approve; empty if the question is not an approval."""
        ...

    @property
    def accept(self) -> Sequence[str]:
        """Who must vouch for the sender of an answer; empty: nobody."""
        ...

    @property
    def quorum(self) -> Quorum | None:
        """What it takes to decide it; None: one answer."""
        ...


class PublishedShape(Answerable, Protocol):
    """A question as it is published."""

    @property
    def sealed(self) -> bytes:
        """Its content if that is encrypted; empty if it is plain."""
        ...


APPROVAL = 'approve, reject: why, respond: the result, or {"edit": {...all arguments...}}'
"""How to approve a call, or refuse it."""


def form_for(question: PublishedShape) -> str:
    """What an answer to a published question must look like, in words."""
    if question.sealed and question.form is None:
        how = f"one of: {APPROVAL}" if question.digest else "as the question says, encrypted"
        return f"{_ANSWER} {how}"
    return form_of(question.form)


def form_of(form: dict[str, Any] | None) -> str:
    """What an answer of a given form must look like, in words."""
    if form is None:
        return 'plain text, or {"answer": "...", "questionId": "...", "by": "..."}'
    return "\n".join([_ANSWER, *form_lines(form)])


def form_lines(form: dict[str, Any]) -> list[str]:
    """The fields of a form, and an example answer."""
    description = form.get("description")
    if "anyOf" in form and isinstance(description, str):  # the asker's own words are better
        return description.split("\n")
    return [*describe(form), f"for example: {example(form)}"]


def answer_with(names: Names, ticket: str, question: Answerable, role: str = "") -> tuple[str, ...]:
    """A `nats pub` line for each possible answer, or one line to fill in.

    Everything that comes from the question is quoted for a POSIX shell, as JSON in ASCII: nothing
    in it can end the argument, run a command, or look like something else.

    `role`: the one that answers, if several are asked; empty: all of them.
    """
    roles = (role,) if role else roles_of(question)
    return tuple(line for each in roles for line in _lines(names, ticket, question, each))


def _lines(names: Names, ticket: str, question: Answerable, role: str) -> tuple[str, ...]:
    subject = names.subject(answer_subject(ticket, question, role))
    accept = accepted_from(question, role)
    if through(accept):
        return ()
    answers = _answers(question.form, question.digest)
    if SIGNATURE in accept:
        options = ["--prefix", names.prefix] if names.prefix else []
        options += ["--role", role] if len(roles_of(question)) > 1 else []
        options += ["--question", question.id, "--responder", YOUR_NAME, "--nkey", "FILE"]
        before = [*options, "--", ticket]
        return tuple(
            shlex.join(["layby", "answer", *before, _as_text(answer)]) for answer in answers
        )
    return tuple(
        shlex.join(["nats", "pub", "-J", "--no-templates", subject, _body(question.id, answer)])
        for answer in answers
    )


def accepted_from(question: Answerable, role: str) -> Sequence[str]:
    """Who must vouch for an answer of a role; empty: nobody."""
    if question.quorum is None:
        return question.accept
    if role in question.quorum.signed:
        return [SIGNATURE]
    return [each for each in question.accept if each != SIGNATURE] or [NATS]


def answer_subject(ticket: str, question: Answerable, role: str = "") -> str:
    """The subject for a role's answers to a question, without the app's prefix."""
    role = role or question.role
    plain = f"{role}.response.{encode(ticket)}"
    accept = accepted_from(question, role)
    if not accept or NONE in accept:
        return plain
    if accept_only := through(accept):
        return via_subject(plain, YOUR_NAME, accept_only[0])
    return f"{plain}.{YOUR_NAME}"


def through(accept: Sequence[str]) -> list[str]:
    """The bridges that alone may pass answers on; empty: people can send them themselves."""
    return [] if not set(accept) <= set(VIA) else list(accept)


def _as_text(answer: Any) -> str:
    return answer if isinstance(answer, str) else json.dumps(answer)


def _answers(form: dict[str, Any] | None, digest: str) -> list[Any]:
    if digest:
        return [f"approve {digest}", "reject: why"]
    if form is None:
        return [_TEXT]
    return choices(form) or [_of_example(example(form))]


def _of_example(text: str) -> Any:
    return json.loads(text) if text.startswith(("{", "[")) else text


def _body(question: str, answer: Any) -> str:
    return json.dumps({"questionId": question, "answer": answer})
