"""What a model was sent, as a section of the detail: what is new in it stands out."""

from __future__ import annotations

from collections.abc import Iterator

from ...client import Client
from ...views.prompt import Prompt, PromptMessage, PromptPart
from ...views.prompts import NoPrompt, prompt_of
from .section import Said, Section, Value, maybe_json, text, value_text
from .watched import WatchedRun

_HUMAN = frozenset({"ask_developer", "ask_user", "ask_person"})
"""Tools whose results come from people."""


async def prompt_section(client: Client, run: WatchedRun, number: str) -> Section | None:
    """The request behind the record `number`; None if it was not recorded."""
    try:
        prompt = await prompt_of(run.id, run.messages, number, client.logs.inflated)
    except NoPrompt:
        return None
    count, fresh = len(prompt.messages), len(prompt.messages) - prompt.new_from
    section = Section(
        id="prompt",
        title="Prompt, exactly as sent" if prompt.form != "layby" else "Prompt",
        small=f"{count} {'message' if count == 1 else 'messages'}, {fresh} new",
    )
    section.before = [
        *([Said("system", text(prompt.system, number))] if prompt.system else []),
        *(
            Said(f"tool {tool.name}", _tool(tool.description, tool.parameters, number))
            for tool in prompt.tools
        ),
        *(said for each in prompt.messages[: prompt.new_from] for said in _said(each, number, "")),
    ]
    section.said = [
        said for each in prompt.messages[prompt.new_from :] for said in _said(each, number, "new")
    ]
    section.fold = _fold(prompt)
    if prompt.params:
        section.values.append(("Parameters", value_text(prompt.params, number)))
    return section


def _fold(prompt: Prompt) -> str:
    """What is folded away, in a few words: `System, 5 tools, 2 messages`."""
    tools, before = len(prompt.tools), prompt.new_from
    words = [
        "system" if prompt.system else "",
        f"{tools} tool{'' if tools == 1 else 's'}" if tools else "",
        f"{before} earlier message{'' if before == 1 else 's'}" if before else "",
    ]
    return ", ".join(filter(None, words)).capitalize()


def _tool(description: str, parameters: object, number: str) -> Value:
    schema = value_text(parameters, number)
    return Value(f"{description}\n{schema.text}".strip(), schema.whole)


def _said(message: PromptMessage, number: str, mark: str) -> Iterator[Said]:
    for part in message.parts:
        who, value = _part(part, number)
        human = part.kind == "tool_result" and part.tool in _HUMAN
        yield Said(f"{message.role}{who}", value, "human" if human and mark else mark)


def _part(part: PromptPart, number: str) -> tuple[str, Value]:
    match part.kind:
        case "tool_call":
            return f", calls {part.tool}", maybe_json(part.text, number)
        case "tool_result":
            what = "error" if part.is_error else "result"
            return f", {what} of {part.tool or part.id}", maybe_json(part.text, number)
        case "attachment":
            return ", attachment", text(part.text, number)
        case _:
            return "", text(part.text, number)
