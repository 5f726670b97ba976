"""`layby prompt` on the screen: what a model was sent, in the order in which it was sent."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from layby.cli.screen.prompt import print_prompt
from layby.views.prompt import Prompt, PromptMessage, PromptPart, PromptTool


def printed(**fields: Any) -> str:
    console = Console(file=io.StringIO(), width=200, markup=False, highlight=False)
    print_prompt(console, Prompt(form="anthropic", model="claude", step="network/ask", **fields))
    file: Any = console.file
    return str(file.getvalue())


def says(role: str, text: str = "", **part: Any) -> PromptMessage:
    part.setdefault("kind", "text")
    return PromptMessage(role=role, parts=[PromptPart(text=text, **part)])


def test_the_head_says_the_model_the_step_and_its_settings() -> None:
    lines = printed(params={"max_tokens": 100, "stop": "x"}).splitlines()
    assert lines == ["claude  network/ask", "0 messages, 0 new; max_tokens = 100, stop = 'x'"]


def test_messages_that_the_request_before_did_not_have_are_new() -> None:
    text = printed(messages=[says("user", "Hello"), says("assistant", "Hi")], new_from=1)
    assert "2 messages, 1 new;" in text
    assert text.splitlines()[2:] == ["", "user", "Hello", "", "assistant, new", "Hi"]


def test_the_instructions_and_the_tools_come_before_the_conversation() -> None:
    tools = [PromptTool(name="search", description="Find pages"), PromptTool(name="stop")]
    text = printed(system="Be kind.", tools=tools, messages=[says("user", "Hello")])
    assert text.splitlines()[2:-3] == [
        "",
        "system",
        "Be kind.",
        "",
        "tools",
        "search: Find pages",
        "stop",
    ]


def test_calls_and_results_say_of_which_tool_and_whether_they_failed() -> None:
    messages = [
        says("assistant", "{}", kind="tool_call", tool="search"),
        says("user", "no such page", kind="tool_result", tool="search", is_error=True),
        says("user", "image/png", kind="attachment"),
    ]
    text = printed(messages=messages, new_from=3)
    heads = text.splitlines()[3::3]
    assert heads == [
        "assistant, tool call search",
        "user, tool result search an error",
        "user, attachment",
    ]


def test_no_text_of_a_conversation_can_move_the_cursor() -> None:
    text = printed(system="\x1b[2J", messages=[says("us\x1ber", "\x07")])
    assert "\x1b" not in text
    assert "\x07" not in text
