"""A call to approve, read back from the text in which people are shown it. Pure.

Arguments that are read back count only if writing them again gives the same text, so nothing in a
description or in an argument can pose as an argument.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast

from .argument_text import arguments_text

_BEGIN: Final = "arguments: {"
_CHANGED: Final = "shown below as a change"


class ShownCall(NamedTuple):
    """A call to approve, as far as its question describes it."""

    tool: str
    """Its name; empty if it is not known."""
    about: str
    """What the tool does."""
    arguments: dict[str, Any] | None
    """Exactly the arguments; None if they cannot be read back for certain. The question's context
    then shows them."""


def shown_call(
    question: str, context: str, digest: str, sent: Mapping[str, Any] | None = None
) -> ShownCall:
    """The call that a question with a digest is about.

    Args:
        question: The question.
        context: The question's context.
        digest: The digest of the call and the question.
        sent: The arguments as the agent gave them; texts of several lines are found only here.
    """
    tail = context.rfind(f"\ndigest: {digest}\n")
    found = _find_arguments(context, tail, sent or {})
    tool, _, about = (context[: found[0]] if found else "").rstrip("\n").partition(": ")
    return ShownCall(tool or _named(question), about, found[1] if found else None)


def _named(question: str) -> str:
    """The tool in `May Clerk call refund(...)?`, of a tool that has no description."""
    _, _, after = question.rpartition("\n")[2].partition(" call ")
    return after.partition("(")[0]


def _find_arguments(
    context: str, tail: int, sent: Mapping[str, Any]
) -> tuple[int, dict[str, Any]] | None:
    """Where the arguments begin, and what they are."""
    at = context.find(_BEGIN)
    while 0 <= at < tail:
        if at == 0 or context[at - 1] == "\n":
            shown = _object_at(context, at + len(_BEGIN) - 1)
            for each in (shown, _with_texts(shown, sent)):
                if each and arguments_text(each) == context[at:tail]:
                    return at, each
            if not shown and context[at:tail] == arguments_text({}):
                return at, {}
        at = context.find(_BEGIN, at + 1)
    return None


def _with_texts(shown: dict[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with the texts that are shown below them, as the agent gave them."""
    return {
        name: sent[name]
        if name in sent and (value == _CHANGED or _has_lines(sent[name]))
        else value
        for name, value in shown.items()
    }


def _has_lines(value: Any) -> bool:
    return "\\n" in json.dumps(value)


def _object_at(text: str, start: int) -> dict[str, Any]:
    try:
        found: Any = json.JSONDecoder().raw_decode(text, start)[0]
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
