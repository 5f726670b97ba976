"""Tool calls that a person must approve: what they are asked, and what their answer means.

The person is shown the tool and all of its arguments, defaults included, with a digest of both.
What they approve is what runs: the digest is checked again before the tool starts. Whatever is
neither a clear yes nor a clear no is refused and the question stays open; silence denies.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeAlias

from ..runtime.call import Call
from ..runtime.errors import InvalidSetup
from ..runtime.signature import canonical
from .argument_text import arguments_text, written
from .context import ToolContext

if TYPE_CHECKING:
    from .tool import Tool

Needs: TypeAlias = (
    "bool | str | Callable[[ToolContext[Any], dict[str, Any]], bool | str | Awaitable[bool | str]]"
)
"""Who must approve a call: nobody (False), a developer (True), the role of that name, or what a
function of the context and the validated arguments says."""

DEFAULT_ROLE = "developer"
_ASIDE = 80
"""Characters of an argument that a question repeats in its first line."""


class Ruling(NamedTuple):
    """What a person decided about a call."""

    kind: Literal["approve", "reject", "edit", "respond"]
    text: str = ""
    """The reason of a rejection, or the result that takes the tool's place."""
    arguments: dict[str, Any] | None = None
    """The arguments as the person has edited them."""


def checked(tool: str, needs: Needs) -> Needs:
    """`needs` if it can be meant. Raises InvalidSetup."""
    given: Any = needs
    if isinstance(given, bool) or callable(given) or (isinstance(given, str) and given):
        return needs
    raise InvalidSetup(
        f"tool {tool!r}: needs_approval={needs!r}: give True, a role, or a function of "
        "(ctx, arguments) that returns one of these"
    )


async def role_for(needs: Needs, ctx: ToolContext[Any], arguments: dict[str, Any]) -> str:
    """Who must approve this call; empty: nobody."""
    wanted: Any = needs(ctx, arguments) if callable(needs) else needs
    wanted = await wanted if inspect.isawaitable(wanted) else wanted
    if isinstance(wanted, str):
        return wanted
    if isinstance(wanted, bool):
        return DEFAULT_ROLE if wanted else ""
    raise InvalidSetup(f"needs_approval must say True, False or a role, not {wanted!r}")


def declared_role(needs: Needs) -> str:
    """The role that must approve every call; empty where a call decides, or nobody must."""
    if isinstance(needs, str):
        return needs
    return DEFAULT_ROLE if needs is True else ""


def digest_of(tool: Tool[..., Any], arguments: Mapping[str, Any], full: Mapping[str, Any]) -> str:
    """What a call comes to: the arguments as sent, and as the tool will get them."""
    return _digest(json.dumps([tool.name, dict(arguments), _plain(full)], sort_keys=True))


def call_of(tool: Tool[..., Any], full: Mapping[str, Any]) -> Call:
    """A call as its approval is signed: the tool, and the arguments as it will get them."""
    return Call(tool=tool.name, arguments=canonical(_plain(full)))


def bound(digest: str, question_id: str) -> str:
    """The digest that people see: of a call and the question about it, so no other has it.

    A question's id covers its run and its place in it.
    """
    return _digest(f"{question_id}\x1f{digest}")


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def question(tool: Tool[..., Any], agent: str, full: Mapping[str, Any], problem: str = "") -> str:
    """One line that says what is asked."""
    shown = ", ".join(f"{name}={_short(value)}" for name, value in _plain(full).items())
    ask = f"May {agent} call {tool.name}({shown})?"
    return f"{problem}\n{ask}" if problem else ask


def context(tool: Tool[..., Any], full: Mapping[str, Any], digest: str) -> str:
    """All that a person needs to know, and how to answer. Nothing is cut."""
    about = f"{tool.name}: {tool.description}\n" if tool.description else ""
    return (
        f"{about}{arguments_text(_plain(full))}\ndigest: {digest}\n"
        f"answer: approve (or: approve {digest}) | reject: why | respond: the result in your words "
        '| {"edit": {...all arguments...}}'
    )


def answer_type(tool: Tool[..., Any], digest: str) -> Any:
    """The type of an answer: the words and objects that are clear."""
    from pydantic import (  # noqa: PLC0415  slow to load, and seldom needed
        ConfigDict,
        Field,
        StringConstraints,
        WithJsonSchema,
        create_model,
    )

    closed = ConfigDict(extra="forbid")
    yes: Any = Literal[(True, digest)]
    # The tool's parameters are the schema; the tool itself checks them, and says what is wrong.
    edited = Annotated[dict[str, Any], WithJsonSchema(inlined(tool.parameters))]
    written = Annotated[str, Field(min_length=1)]
    wanted: Any = (
        Annotated[str, StringConstraints(pattern=_pattern(digest))]
        | create_model("Approve", __config__=closed, approve=(yes, ...))
        | create_model("Reject", __config__=closed, reject=(str, ...))
        | create_model("Respond", __config__=closed, respond=(written, ...))
        | create_model("Edit", __config__=closed, edit=(edited, ...))
    )
    hint = (
        f"answer one of: approve | approve {digest} | reject: why | respond: the result | "
        '{"edit": {...all arguments, as the tool takes them...}}'
    )
    return Annotated[wanted, Field(description=hint)]


def inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without references, which would point elsewhere within another schema."""
    definitions = {f"#/$defs/{name}": inner for name, inner in schema.get("$defs", {}).items()}

    def inline(part: Any, within: tuple[str, ...]) -> Any:
        loose: Any = part  # what `isinstance` leaves of Any is half known to some checkers
        if isinstance(part, list):
            return [inline(item, within) for item in loose]
        if not isinstance(part, dict):
            return part
        fields: dict[str, Any] = loose
        reference = fields.get("$ref")
        if not isinstance(reference, str):
            return {k: inline(v, within) for k, v in fields.items() if k != "$defs"}
        if reference in within or reference not in definitions:
            return {}  # it contains itself: anything may stand here, and the tool checks it
        return inline(definitions[reference], (*within, reference))

    whole: dict[str, Any] = inline(schema, ())
    return whole


def _pattern(digest: str) -> str:
    """The plain words that are clear. Portable: without inline flags."""
    yes = f"{_any_case('yes')}|{_any_case('approved?')}(\\s+{digest})?"
    no = f"{_any_case('no')}(:[\\s\\S]*)?"
    no += f"|{_any_case('reject')}({_any_case('ed')})?([:\\s][\\s\\S]*)?"
    instead = f"{_any_case('respond')}:\\s*\\S[\\s\\S]*"
    return f"^({yes}|{no}|{instead})$"


def _any_case(word: str) -> str:
    return "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in word)


def read(value: Any) -> Ruling:
    """What an accepted answer says; anything that is not understood is a rejection."""
    if isinstance(value, str):
        return _read_words(value.strip())
    [(kind, said)] = value  # a pydantic model with one field
    if kind == "approve":
        return Ruling("approve")
    if kind == "respond":
        return Ruling("respond", said)
    if kind == "edit":
        return Ruling("edit", arguments=said)
    return Ruling("reject", str(said).strip())


def _read_words(text: str) -> Ruling:
    lowered = text.lower()
    if lowered.startswith("respond:"):
        return Ruling("respond", text[len("respond:") :].strip())
    if lowered == "yes" or lowered.split()[0] in {"approve", "approved"}:
        return Ruling("approve")
    for word in ("rejected", "reject", "no"):
        if lowered.startswith(word):
            return Ruling("reject", text[len(word) :].lstrip(":").strip())
    return Ruling("reject", text)


def _plain(full: Mapping[str, Any]) -> dict[str, Any]:
    from .render import render  # noqa: PLC0415  loads pydantic

    plain: dict[str, Any] = json.loads(render(dict(full)))
    return plain


def _short(value: Any) -> str:
    text = written(value)
    return text if len(text) <= _ASIDE else f"{text[:_ASIDE]}…"
