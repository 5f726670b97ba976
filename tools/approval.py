"""Tool calls that a person must approve: what they are asked, and what their answer means.

The person is shown the tool and all of its arguments, defaults included, with a digest of both.
What they approve is what runs: the digest is checked again before the tool starts. An answer that
is neither a clear yes nor a clear no is refused and the question stays open; silence denies.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Protocol, TypeAlias

from ..runtime.call import Call
from ..runtime.calling import maybe_await
from ..runtime.choice import ruling_of_words
from ..runtime.errors import InvalidSetup
from ..runtime.quorum import Quorum
from ..runtime.signature import canonical
from .approvers import DEFAULT_ROLE, Approvers
from .argument_text import arguments_text, safe_json
from .context import ToolContext

Approver: TypeAlias = bool | str | Approvers
ApprovalPolicy: TypeAlias = (
    "Approver | Callable[[ToolContext[Any], dict[str, Any]], Approver | Awaitable[Approver]]"
)
"""Who must approve a call: nobody (False), a developer (True), the named role, several people, or
those that a function of the context and the validated arguments names."""

_SHOWN = 80
"""Characters of an argument that the question's first line shows."""


class Approvable(Protocol):
    """What an approval needs to know of a tool."""

    @property
    def name(self) -> str:
        """What the model calls it by."""
        ...

    @property
    def description(self) -> str:
        """What it does."""
        ...

    @property
    def parameters(self) -> dict[str, Any]:
        """JSON Schema of its arguments."""
        ...


class Ruling(NamedTuple):
    """What a person decided about a call."""

    kind: Literal["approve", "reject", "edit", "respond"]
    text: str = ""
    """The reason of a rejection, or the result that takes the tool's place."""
    arguments: dict[str, Any] | None = None
    """The arguments as the person has edited them."""


def checked(tool: str, needs: ApprovalPolicy) -> ApprovalPolicy:
    """`needs`, if it names an approver or nobody. Raises InvalidSetup."""
    given: Any = needs
    if isinstance(given, bool | Approvers) or callable(given) or (isinstance(given, str) and given):
        return needs
    raise InvalidSetup(
        f"tool {tool!r}: needs_approval={needs!r}: give True, a role, Approvers(...), or a "
        "function of (ctx, arguments) that returns one of these"
    )


class Needed(NamedTuple):
    """Who must approve a call."""

    role: str = ""
    """Empty: nobody."""
    quorum: Quorum | None = None
    """If several people must."""


async def approvers_for(
    needs: ApprovalPolicy, ctx: ToolContext[Any], arguments: dict[str, Any]
) -> Needed:
    """Who must approve this call."""
    found: Any = await maybe_await(needs(ctx, arguments)) if callable(needs) else needs
    if isinstance(found, bool | str | Approvers):
        return _needed(found)
    raise InvalidSetup(
        f"needs_approval returned {found!r}: return True, False, a role or Approvers(...)"
    )


def declared_approvers(needs: ApprovalPolicy) -> Needed:
    """Who must approve every call; nobody where a function decides."""
    return Needed() if callable(needs) else _needed(needs)


def _needed(approver: Approver) -> Needed:
    if isinstance(approver, Approvers):
        return Needed(approver.asked, approver.needed)
    if isinstance(approver, str):
        return Needed(approver)
    return Needed(DEFAULT_ROLE if approver else "")


def digest_of(tool: Approvable, arguments: Mapping[str, Any], full: Mapping[str, Any]) -> str:
    """The digest of a call: of its arguments as sent, and as the tool will get them."""
    return _digest(json.dumps([tool.name, dict(arguments), _plain(full)], sort_keys=True))


def call_of(tool: Approvable, full: Mapping[str, Any]) -> Call:
    """What the signature of an approval covers: the tool, and the arguments as it will get them."""
    return Call(tool=tool.name, arguments=canonical(_plain(full)))


def question_digest(digest: str, question_id: str, salt: str = "") -> str:
    """The digest that people see, which is unique: of a call and the question about it.

    A question's id covers its run and its place in it. A confidential question has a `salt`, so
    that nobody can confirm a guess at the arguments.
    """
    text = f"{question_id}\x1f{digest}"
    return _digest(f"{text}\x1f{salt}" if salt else text)


def new_salt() -> str:
    """A secret that nobody can guess, for `question_digest`."""
    return secrets.token_hex(16)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def question(tool: Approvable, agent: str, full: Mapping[str, Any], problem: str = "") -> str:
    """The question in one line, below the `problem` with the previous answer, if there is one."""
    shown = ", ".join(f"{name}={_short(value)}" for name, value in _plain(full).items())
    ask = f"May {agent} call {tool.name}({shown})?"
    return f"{problem}\n{ask}" if problem else ask


def context(tool: Approvable, full: Mapping[str, Any], digest: str) -> str:
    """Everything a person needs to know, and how to answer. Nothing is cut off."""
    about = f"{tool.name}: {tool.description}\n" if tool.description else ""
    return (
        f"{about}{arguments_text(_plain(full))}\ndigest: {digest}\n"
        f"answer: approve (or: approve {digest}) | reject: why | respond: the result in your words "
        '| {"edit": {...all arguments...}}'
    )


def answer_type(tool: Approvable, digest: str) -> Any:
    """The type of an answer: the words and objects that are unambiguous."""
    from pydantic import (  # noqa: PLC0415  slow to load, and seldom needed
        ConfigDict,
        Field,
        StringConstraints,
        WithJsonSchema,
        create_model,
    )

    closed = ConfigDict(extra="forbid")
    yes: Any = Literal[(True, digest)]
    # The tool's parameters are the schema; the tool itself checks them and names what is wrong.
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
    """The schema without references, which would break inside another schema."""
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
            return {}  # recursive: anything is allowed here, and the tool checks it
        return inline(definitions[reference], (*within, reference))

    whole: dict[str, Any] = inline(schema, ())
    return whole


def _pattern(digest: str) -> str:
    """A pattern for the plain words that are unambiguous. Portable: without inline flags."""
    yes = f"{_any_case('yes')}|{_any_case('approved?')}(\\s+{digest})?"
    no = f"{_any_case('no')}(:[\\s\\S]*)?"
    no += f"|{_any_case('reject')}({_any_case('ed')})?([:\\s][\\s\\S]*)?"
    instead = f"{_any_case('respond')}:\\s*\\S[\\s\\S]*"
    return f"^({yes}|{no}|{instead})$"


def _any_case(word: str) -> str:
    return "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in word)


def ruling_of(value: Any) -> Ruling:
    """The ruling in an accepted answer; an answer that is not understood is a rejection."""
    if isinstance(value, str):
        kind, content = ruling_of_words(value.strip())
        return Ruling(kind, content)
    [(kind, content)] = value  # a pydantic model with one field
    if kind == "approve":
        return Ruling("approve")
    if kind == "respond":
        return Ruling("respond", content)
    if kind == "edit":
        return Ruling("edit", arguments=content)
    return Ruling("reject", str(content).strip())


def _plain(full: Mapping[str, Any]) -> dict[str, Any]:
    from .render import render  # noqa: PLC0415  loads pydantic

    plain: dict[str, Any] = json.loads(render(dict(full)))
    return plain


def _short(value: Any) -> str:
    text = safe_json(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
