"""What a model was sent, on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from ...views.prompt import Prompt, PromptPart


def print_prompt(console: Console, prompt: Prompt) -> None:
    """Print a request: its settings, the instructions, the tools, the conversation."""
    from rich.text import Text

    from .untrusted_text import one_line

    console.print(Text.assemble((one_line(prompt.model), "bold"), f"  {one_line(prompt.step)}"))
    settings = ", ".join(f"{name} = {value!r}" for name, value in prompt.params.items())
    said = len(prompt.messages)
    line = f"{said} messages, {said - prompt.new_from} new; {settings}"
    console.print(Text(one_line(line), style="dim"))
    if prompt.system:
        _print_part(console, "system", prompt.system)
    if prompt.tools:
        names = (f"{tool.name}: {tool.description}".rstrip(": ") for tool in prompt.tools)
        _print_part(console, "tools", "\n".join(names))
    for place, message in enumerate(prompt.messages):
        new = ", new" if place >= prompt.new_from else ""
        for part in message.parts:
            _print_part(console, f"{message.role}{_about(part)}{new}", part.text)


def _about(part: PromptPart) -> str:
    if part.kind == "text":
        return ""
    words = [part.kind.replace("_", " "), part.tool, "an error" if part.is_error else ""]
    return f", {' '.join(filter(None, words))}"


def _print_part(console: Console, head: str, text: str) -> None:
    from rich.text import Text

    from .untrusted_text import one_line, safe

    console.print()
    console.print(Text(one_line(head), style="bold"))
    console.print(Text(safe(text)))
