"""Confidential questions: their content is encrypted wherever it is stored or published.

Ids, subjects, deadline and how to answer stay plain, so that a person with only the nats CLI can
answer. The sealed content is bound to the question's id: it cannot be moved to another question.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from ...bus.errors import Erased, KeyMissing, Tampered
from ...bus.sealing import Sealing, no_keyring, unsealed
from ...runtime.call import Call
from ...runtime.envelope import UNREADABLE
from ...runtime.index import ENCRYPTED, ERASED
from ...runtime.question_fields import CONTENT, fields_of
from ...runtime.times import iso
from .shown_ask_back import ShownAskBack

if TYPE_CHECKING:
    from .parked_question import ParkedQuestion

_BARE = ("boolean", "integer", "number", "string")


class _Content(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a question says."""

    question: str
    context: str = ""
    agent: str = ""
    form: dict[str, Any] | None = None
    call: Call | None = None
    asked_back: tuple[ShownAskBack, ...] = ()


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Content).decode


async def sealed(vault: Sealing | None, question: ParkedQuestion) -> ParkedQuestion:
    """A question as it may be stored: the content of a confidential one is encrypted.

    Raises:
        Erased: the key of its run was destroyed.
        KeyMissing: there is no keyring, or the run is not encrypted.
    """
    if not question.confidential or question.sealed:
        return question
    place = _place(question.id)
    cipher = await vault.of_run(question.run) if vault is not None else None
    if cipher is None:
        raise no_keyring(place)
    content = _Content(**fields_of(question, CONTENT), asked_back=question.asked_back)
    return _veiled(question, ENCRYPTED, cipher.seal(_encode(content), place))


async def opened(vault: Sealing | None, question: ParkedQuestion) -> ParkedQuestion:
    """A question with its content decrypted.

    Raises:
        Erased: the key of its run was destroyed.
        KeyMissing: no keyring here has its key.
        Tampered: it was changed, or belongs to another question.
    """
    if not question.sealed:
        return question
    place = _place(question.id)
    data = await unsealed(vault, question.run, question.sealed, place)
    try:
        content = _decode(data)
    except UNREADABLE:
        raise Tampered(f"the content of {place} is not a question") from None
    return msgspec.structs.replace(question, sealed=b"", **msgspec.structs.asdict(content))


async def readable(vault: Sealing | None, question: ParkedQuestion) -> ParkedQuestion:
    """A question decrypted if the keys here allow; if not, it says so and stays sealed."""
    try:
        return await opened(vault, question)
    except Erased:
        return _veiled(question, ERASED, question.sealed)
    except (KeyMissing, Tampered):
        return _veiled(question, ENCRYPTED, question.sealed)


def erased(question: ParkedQuestion) -> ParkedQuestion:
    """A question of an erased run: closed, and without its content."""
    gone = msgspec.structs.replace(
        question,
        status="cancelled" if question.status == "open" else question.status,
        closed_at=question.closed_at or iso(time.time()),
        confidential=False,
        answer_with=(),
    )
    return msgspec.structs.replace(_veiled(gone, ERASED, b""), form=None)


def veiled(question: ParkedQuestion) -> ParkedQuestion:
    """A question as everybody may see it."""
    return _veiled(question, ENCRYPTED, question.sealed) if question.confidential else question


def _veiled(question: ParkedQuestion, text: str, sealed: bytes) -> ParkedQuestion:
    return msgspec.structs.replace(
        question,
        question=text,
        context="",
        agent="",
        form=_bare(question.form),
        call=None,
        asked_back=tuple(each.plain for each in question.asked_back),
        sealed=sealed,
    )


def _bare(form: dict[str, Any] | None) -> dict[str, Any] | None:
    """A form that gives only the type of an answer; None for a form that says more."""
    if form is not None and form.keys() == {"type"} and form["type"] in _BARE:
        return form
    return None


def _place(question: str) -> str:
    return f"question {question}"
