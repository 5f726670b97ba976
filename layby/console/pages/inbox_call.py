"""A call that waits for approval, with the exact arguments that a person approves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from ...tools.argument_text import safe_json, visible
from ...tools.shown_call import shown_call
from ...views.rows import QuestionRow
from ..forms.diff import Line, diff

_CHANGES: Final = (("old", "new"), ("before", "after"), ("original", "replacement"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One argument, as it is shown.

    Attributes:
        name: Its name.
        text: Its value as JSON, or its lines.
        kind: What it is, in a word.
        is_long: Whether it is a text of several lines.
    """

    name: str
    text: str
    kind: str
    is_long: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallView:
    """A call to approve.

    Attributes:
        tool: What is called; empty if that is not known.
        about: What it does.
        digest: Of the call and this question.
        arguments: Exactly what it is called with; None if that cannot be told apart for certain,
            and the question's context then shows it.
        schema: The JSON Schema of the arguments; None: unknown.
    """

    tool: str
    about: str
    digest: str
    arguments: dict[str, Any] | None
    schema: dict[str, Any] | None

    @property
    def rows(self) -> list[Argument]:
        """The arguments, as they are shown."""
        changed = {name for pair in self._pairs() for name in pair}
        given = self.arguments or {}
        return [_argument(name, value) for name, value in given.items() if name not in changed]

    @property
    def changes(self) -> list[tuple[str, list[Line]]]:
        """The pairs of arguments that hold a text before and after a change."""
        given = self.arguments or {}
        return [
            (visible(f"{old} → {new}"), diff(given[old], given[new])) for old, new in self._pairs()
        ]

    def _pairs(self) -> list[tuple[str, str]]:
        given = self.arguments or {}
        found: list[tuple[str, str]] = []
        for name in given:
            for old, new in _CHANGES:
                other = new + name.removeprefix(old)
                texts = (given[name], given.get(other))
                if name.startswith(old) and all(isinstance(text, str) for text in texts):
                    found.append((name, other))
        return found


def call_in(question: QuestionRow, sent: Mapping[str, Any] | None = None) -> CallView | None:
    """The call that a question is about; None if it is about none.

    `sent` are the arguments as the agent gave them: texts of several lines are only there.
    """
    if not question.digest:
        return None
    found = shown_call(question.question, question.context, question.digest, sent)
    return CallView(
        tool=question.call.tool if question.call is not None else found.tool,
        about=found.about,
        digest=question.digest,
        arguments=found.arguments,
        schema=_edit_schema(question.form),
    )


def _edit_schema(form: dict[str, Any] | None) -> dict[str, Any] | None:
    """The schema of the arguments in the form of an approval."""
    for schema in _parts(form):
        edit = schema.get("properties", {}).get("edit") if isinstance(schema, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if isinstance(edit, dict):
            return cast("dict[str, Any]", edit)
    return None


def _parts(form: dict[str, Any] | None) -> list[Any]:
    if form is None:
        return []
    definitions: Any = form.get("$defs")
    several: Any = form.get("anyOf")
    defined = list(definitions.values()) if isinstance(definitions, dict) else []  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType, reportUnknownMemberType]
    return [*defined, *(several if isinstance(several, list) else [])]  # pyright: ignore[reportUnknownVariableType]


def _argument(name: str, value: Any) -> Argument:
    is_long = isinstance(value, str) and "\n" in value
    text = value if is_long else safe_json(value, indent=2 if _is_nested(value) else None)
    return Argument(name=visible(name), text=visible(text), kind=_kind(value), is_long=is_long)


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict | list) and len(json.dumps(value)) > 60  # noqa: PLR2004


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    kinds = ((str, "text"), (bool, "yes or no"), ((int, float), "number"), (list, "list"))
    return next((word for kind, word in kinds if isinstance(value, kind)), "object")
