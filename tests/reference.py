"""Writes docs/reference.md from the signatures and docstrings: `python -m tests.reference`."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import layby
from layby import channels
from layby.actors.agents import definition, hooks
from layby.actors.networks import router
from layby.actors.threads import history
from layby.client import Client
from layby.tools import approval, context

PAGE = Path(__file__).parent.parent / "docs" / "reference.md"
_HEAD = """\
# API reference

Every parameter of the public API, with its type, default and meaning. The guides say when to use
what: [workflows](workflows.md), [agents](agents.md), [models](models.md), [threads](threads.md),
[testing](testing.md).

This page is generated from signatures and docstrings. To change it, change those and run
`python -m tests.reference`; a test fails if the page and the code differ.

Durations are text (`250ms`, `90s`, `1h30m`, `2d`, `PT4H`), a `timedelta`, or seconds as a number.
"""
_STEP = """\
The second argument of a workflow function. In a tool, `ctx.step` has the same verbs, except
`network` and `agent`. `step.run_id` and `step.ticket` identify the run.
"""
_CHANNELS = """\
How questions reach people: `from layby.channels import email, slack, webhook`, and
`Role(channels=[...])`.
"""
_VERBS = (
    "run",
    "ask",
    "sleep",
    "sleep_until",
    "wait_for_event",
    "send_event",
    "network",
    "agent",
    "workflow",
    "gather",
    "first",
    "now",
    "uuid",
    "random",
    "idempotency_key",
)
_ALIASES: dict[str, Any] = {
    "AfterTool": hooks,
    "BeforeTool": hooks,
    "Choice": router,
    "Condition": definition,
    "Enabled": hooks,
    "History": history,
    "ApprovalPolicy": approval,
    "OnFinish": hooks,
    "OnResponse": hooks,
    "OnRoute": router,
    "OnStart": hooks,
    "Policy": history,
    "Router": router,
    "System": definition,
    "Timeout": import_module("layby.tools.tool"),  # the name alone is the decorator
}
_REQUIRED = "required"
_SECTION = re.compile(r"^(?:Args|Raises|Warns|Attributes|Returns):$", re.MULTILINE)
_ENTRIES = re.compile(r"^(Args|Raises):\n((?:(?: .*)?\n)*)", re.MULTILINE)


class Row(NamedTuple):
    """One row of a table."""

    name: str
    kind: str
    default: str
    meaning: str


class Undescribed(Exception):
    """A parameter or function has no description where it is declared."""


def page() -> str:
    """The page as it should be. Raises Undescribed."""
    lines = _HEAD.splitlines()
    for part in _parts():
        lines += ["", *part]
    return "\n".join([*lines, ""])


def _parts() -> Iterator[list[str]]:
    yield ["## App", "", *_function("App(...)", layby.App.__init__, of=layby.App)]
    yield ["### App.workflow", "", *_function("@app.workflow(...)", layby.App.workflow)]
    yield ["## Step", "", *_STEP.splitlines()]
    verbs = {name for name in dir(layby.Step) if not name.startswith("_")} - {"run_id", "ticket"}
    for name in (*_VERBS, *sorted(verbs - set(_VERBS))):
        yield [f"### step.{name}", "", *_function(f"step.{name}(...)", getattr(layby.Step, name))]
    yield ["## Agent", "", *_record("Agent(...)", layby.Agent)]
    yield ["### agent.run", "", *_function("agent.run(...)", layby.Agent.run)]
    yield ["### agent.as_tool", "", *_function("agent.as_tool(...)", layby.Agent.as_tool)]
    yield ["## Network", "", *_record("Network(...)", layby.Network)]
    yield ["## RoutingAgent", "", *_record("RoutingAgent(...)", layby.RoutingAgent)]
    yield ["## tool", "", *_function("@tool(...)", layby.tool)]
    yield ["### ToolContext", "", *_record("ctx: ToolContext", context.ToolContext, defaults=False)]
    yield ["## Channels", "", *_CHANNELS.splitlines(), "", *_listed(channels)]
    yield ["### email", "", *_function("email(...)", channels.email)]
    yield ["### slack", "", *_function("slack(...)", channels.slack)]
    yield ["### webhook", "", *_function("webhook(...)", channels.webhook)]
    yield ["## Client", "", *_prose(Client)]
    for name, member in inspect.getmembers(Client, inspect.isroutine):
        if not name.startswith("_"):
            yield [f"### client.{name}", "", *_function(f"client.{name}(...)", member)]
    yield ["## What else `layby` has", "", *_others()]
    yield ["## Types", "", "What the names of types above stand for.", "", *_aliases()]


def _listed(module: ModuleType) -> Iterator[str]:
    """The classes that are imported from a module, with what they are."""
    for name in sorted(module.__all__, key=str.lower):
        if inspect.isclass(described := getattr(module, name)):
            yield f"- `{name}`: {_first_line(described)}"


def _others() -> Iterator[str]:
    """What is imported from `layby` and has no part of its own, with what it is."""
    parts = {"App", "Step", "Agent", "Network", "RoutingAgent", "tool", "ToolContext", "Client"}
    for name in sorted(set(layby.__all__) - parts - _ALIASES.keys(), key=str.lower):
        described = getattr(layby, name)
        if inspect.isclass(described) or inspect.isfunction(described):
            yield f"- `{name}`: {_first_line(described)}"


def _first_line(described: Any) -> str:
    return " ".join(_prose(described)).partition(". ")[0].rstrip(".") + "."


def _function(title: str, function: Callable[..., Any], of: Any = None) -> list[str]:
    """What a function takes, and what it raises."""
    described = {name: _entries(body) for name, body in _ENTRIES.findall(f"{_doc(function)}\n")}
    meanings = described.get("Args", {})
    rows = [
        Row(_name(p), _type(p.annotation), _default(p), meanings.get(name, ""))
        for name, p in inspect.signature(function).parameters.items()
        if name not in {"self", "cls"}
    ]
    lines = [f"`{title}`", "", *_prose(function if of is None else of), *_table(title, rows)]
    raises = [f"- `{name}`: {why}" for name, why in described.get("Raises", {}).items()]
    return [*lines, "", "Raises:", "", *raises] if raises else lines


def _record(title: str, kind: type[Any], *, defaults: bool = True) -> list[str]:
    """What a dataclass takes."""
    meanings = dict(_attributes(kind))
    rows = [
        Row(each.name, str(each.type), _field_default(each), meanings.get(each.name, ""))
        for each in dataclasses.fields(kind)
        if each.init
    ]
    return [f"`{title}`", "", *_prose(kind), *_table(title, rows, defaults=defaults)]


def _table(title: str, rows: list[Row], *, defaults: bool = True) -> list[str]:
    bare = next((row.name for row in rows if not row.meaning), None)
    if bare is not None:
        raise Undescribed(f"{title}: say in its docstring what `{bare}` is")
    if not rows:
        return []
    table = [Row("name", "type", "default", "meaning"), Row(*["---"] * 4), *map(_cells, rows)]
    columns = (0, 1, 2, 3) if defaults else (0, 1, 3)
    return ["", *(f"| {' | '.join(row[n] for n in columns)} |" for row in table)]


def _cells(row: Row) -> Row:
    default = row.default if row.default == _REQUIRED else f"`{_cell(row.default)}`"
    return Row(f"`{row.name}`", f"`{_cell(row.kind)}`", default, _cell(row.meaning))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _doc(described: Any) -> str:
    text = inspect.getdoc(described)
    if not text:
        raise Undescribed(f"{described!r} has no docstring")
    return text


def _prose(described: Any) -> list[str]:
    """The docstring up to its first section."""
    return _SECTION.split(_doc(described), maxsplit=1)[0].strip().splitlines()


def _entries(body: str) -> dict[str, str]:
    """The entries of a section: names, and what is said of them."""
    entries: dict[str, str] = {}
    name = ""
    for line in textwrap.dedent(body).splitlines():
        begins = re.match(r"([\w *]+): (.*)", line)
        if begins and not line.startswith(" "):
            name = begins[1].lstrip("*")
            entries[name] = begins[2]
        elif name and line.strip():
            entries[name] += f" {line.strip()}"
    return entries


def _attributes(kind: type[Any]) -> Iterator[tuple[str, str]]:
    """The strings below a class's fields, those that it inherits too."""
    for each in kind.__mro__:
        if not dataclasses.is_dataclass(each):
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(each))).body[0]
        assert isinstance(tree, ast.ClassDef)
        for node, after in pairwise(tree.body):
            if isinstance(node, ast.AnnAssign) and _string(after):
                yield _assigned(node), _string(after)


def _name(parameter: inspect.Parameter) -> str:
    starred = parameter.kind is inspect.Parameter.VAR_POSITIONAL
    return f"*{parameter.name}" if starred else parameter.name


def _type(annotation: Any) -> str:
    return "Any" if annotation is inspect.Parameter.empty else str(annotation)


def _default(parameter: inspect.Parameter) -> str:
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return "()"
    if parameter.default is inspect.Parameter.empty:
        return _REQUIRED
    return _shown(parameter.default)


def _field_default(each: dataclasses.Field[Any]) -> str:
    return _REQUIRED if each.default is dataclasses.MISSING else _shown(each.default)


def _shown(value: Any) -> str:
    if type(value) is object:  # stands for: there is none
        return "..."
    return value.__name__ if isinstance(value, type) else repr(value)


def _aliases() -> list[str]:
    lines = ["| name | is | meaning |", "| --- | --- | --- |"]
    for name, module in _ALIASES.items():
        tree = ast.parse(inspect.getsource(module)).body
        place = next(n for n, node in enumerate(tree) if _assigned(node) == name)
        meaning = _string(tree[place + 1])
        if not meaning:
            raise Undescribed(f"say below the type `{name}` what it is")
        lines.append(f"| `{name}` | `{_cell(_written(tree[place]))}` | {_cell(meaning)} |")
    return lines


def _assigned(node: ast.stmt) -> str:
    """The name that a statement gives a value to; empty for others."""
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    return target.id if isinstance(target, ast.Name) else ""


def _string(node: ast.stmt) -> str:
    """The text of a string that stands alone, on one line; empty for other statements."""
    value = node.value if isinstance(node, ast.Expr) else None
    return " ".join(str(value.value).split()) if isinstance(value, ast.Constant) else ""


def _written(node: Any) -> str:
    """What an alias stands for; some are written as text."""
    found = node.value
    return str(found.value) if isinstance(found, ast.Constant) else ast.unparse(found)


if __name__ == "__main__":
    PAGE.write_text(page())
