"""The agent and its tools. It may read anything, but writing needs a person's approval."""

from __future__ import annotations

from typing import Annotated

from layby import Agent, tool

from .workspace import Workspace

FileName = Annotated[str, "The file's name within the workspace, such as stats.py"]


@tool
def list_files() -> list[str]:
    """List the files of the workspace."""
    return Workspace.from_env().files()


@tool
def read_file(name: FileName) -> str:
    """Read a file."""
    return Workspace.from_env().read(name)


@tool(needs_approval="reviewer", approval_timeout="1d")
def write_file(name: FileName, text: Annotated[str, "The whole new text of the file"]) -> str:
    """Write a file as a whole. A reviewer sees it first, and may change or reject it."""
    Workspace.from_env().write(name, text)
    return f"{name} was written."


@tool
def check_file(name: FileName) -> str:
    """Have the compiler look at a file."""
    return Workspace.from_env().problems(name) or "No problems."


coder = Agent(
    "Coder",
    description="Changes code.",
    system=(
        "You change Python code. Read before you write, write whole files, and check what you "
        "wrote. When the reviewer rejects a change, do what they say and propose it anew; after "
        "a second rejection stop and say what is unclear. End with one sentence on what you did."
    ),
    tools=[list_files, read_file, write_file, check_file],
    max_steps=12,
)
