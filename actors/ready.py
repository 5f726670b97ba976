"""The shell commands that answer exactly one question, ready to be pasted."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any, Protocol

from ..bus.names import Names
from ..bus.token import encode
from ..runtime.form_text import choices, describe, example
from ..runtime.vouching import NONE, SIGNATURE

_TEXT = "your answer"
YOUR_NAME = "YOUR_NAME"
"""Stands in a subject for whoever answers."""


class Answerable(Protocol):
    """A question in whatever shape."""

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
        """Of the call that is to be approved; empty when no call is."""
        ...

    @property
    def accept(self) -> Sequence[str]:
        """Who must vouch for whoever answers; empty: nobody."""
        ...


def form_of(form: dict[str, Any] | None) -> str:
    """What an answer on the wire must be, in words."""
    if form is None:
        return 'plain text, or {"answer": "...", "questionId": "...", "by": "..."}'
    return "\n".join(
        [
            'the field "answer" of {"answer": ..., "questionId": "...", "by": "..."}, or alone:',
            *form_lines(form),
        ]
    )


def form_lines(form: dict[str, Any]) -> list[str]:
    """The fields of a form, and an answer that fits it."""
    said = form.get("description")
    if "anyOf" in form and isinstance(said, str):  # the asker's own words are better
        return said.split("\n")
    return [*describe(form), f"for example: {example(form)}"]


def answer_with(names: Names, ticket: str, question: Answerable) -> tuple[str, ...]:
    """`nats pub` lines for each thing there is to say, or one to fill in.

    All that is not the command's own is quoted for a POSIX shell, and is JSON in ASCII: nothing in
    it can end the word, call a command, or look like something else.
    """
    subject = names.subject(answer_subject(ticket, question))
    answers = _answers(question.form, question.digest)
    if SIGNATURE in question.accept:
        options = ["--prefix", names.prefix] if names.prefix else []
        options += ["--question", question.id, "--responder", YOUR_NAME, "--nkey", "FILE"]
        before = [*options, "--", ticket]
        return tuple(
            shlex.join(["layby", "answer", *before, _as_text(answer)]) for answer in answers
        )
    return tuple(
        shlex.join(["nats", "pub", "-J", "--no-templates", subject, _body(question.id, answer)])
        for answer in answers
    )


def answer_subject(ticket: str, question: Answerable) -> str:
    """Where a question takes answers, without the app's prefix."""
    plain = f"{question.role}.response.{encode(ticket)}"
    named = question.accept and NONE not in question.accept
    return f"{plain}.{YOUR_NAME}" if named else plain


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
