"""The choices of a question that several people decide: which answers mean the same. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final, Literal, Protocol, cast

from .meanings import candidates

APPROVE: Final = "approve"
REJECT: Final = "reject"
YES = "yes"
NO = "no"
REJECTIONS = frozenset({REJECT, NO})
_RULINGS = frozenset({APPROVE, REJECT, "respond", "edit"})


class Closed(Protocol):
    """A question whose answers are choices."""

    @property
    def form(self) -> dict[str, Any] | None:
        """What an answer must be; None: any text."""
        ...

    @property
    def digest(self) -> str:
        """The digest of the call to approve; empty if the question is not an approval."""
        ...


def is_closed(question: Closed) -> bool:
    """Whether the answers to a question are choices, which can be counted."""
    return bool(question.digest) or _is_yes_or_no(question.form) or bool(_listed(question.form))


def can_be_rejected(question: Closed) -> bool:
    """Whether one of the choices is a rejection."""
    return bool(question.digest) or _is_yes_or_no(question.form)


def choice_of(question: Closed, text: str) -> str:
    """What an answer chooses, the same for answers that mean the same; empty: no choice.

    Of a tool call: `approve` and `reject`, whatever the reason, and for an edit or a response the
    digest of what it says.
    """
    try:
        return _choice(question, text)
    except RecursionError:  # nested deeper than any form allows
        return ""


def _choice(question: Closed, text: str) -> str:
    if question.digest:
        return _ruling(text, question.digest)
    found = candidates(text)
    if _is_yes_or_no(question.form):
        return next((YES if each else NO for each in found if isinstance(each, bool)), "")
    names = {_name(value) for value in _listed(question.form)}
    return next((name for name in map(_name, found) if name in names), "")


def _is_yes_or_no(form: dict[str, Any] | None) -> bool:
    return form is not None and form.get("type") == "boolean" and "enum" not in form


def _listed(form: dict[str, Any] | None) -> list[Any]:
    """The values that a form lists."""
    if form is None:
        return []
    listed: list[Any] | None = [form["const"]] if "const" in form else form.get("enum")
    return listed if isinstance(listed, list) else []


def _name(value: Any) -> str:
    """A text as itself, other values as JSON."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _ruling(text: str, digest: str) -> str:
    """What an answer decides about a tool call."""
    value = candidates(text)[0]
    if isinstance(value, dict):
        return _ruling_of_object(cast("dict[str, Any]", value), digest)
    words = value.strip() if isinstance(value, str) else text.strip()
    kind, content = ruling_of_words(words)
    if kind == APPROVE:
        named = words.split()[1:]
        return APPROVE if not named or named == [digest] else ""
    return f"{kind} {_digest(content)}" if kind == "respond" else kind


def _ruling_of_object(value: dict[str, Any], digest: str) -> str:
    if len(value) != 1:
        return ""
    [(kind, content)] = value.items()
    if kind not in _RULINGS:
        return ""
    if kind == APPROVE:
        return APPROVE if content is True or content == digest else ""
    return kind if kind == REJECT else f"{kind} {_digest(content)}"


def ruling_of_words(text: str) -> tuple[Literal["approve", "reject", "respond"], str]:
    """What plain words decide about a tool call, and the reason or response that they give."""
    lowered = text.lower()
    if lowered.startswith("respond:"):
        return "respond", text[len("respond:") :].strip()
    if lowered == YES or lowered.split()[:1] in (["approve"], ["approved"]):
        return APPROVE, ""
    for word in ("rejected", REJECT, NO):
        if lowered.startswith(word):
            return REJECT, text[len(word) :].lstrip(":").strip()
    return REJECT, text


def _digest(content: Any) -> str:
    data = json.dumps(content, sort_keys=True).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=6).hexdigest()
