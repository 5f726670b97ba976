"""A scripted stand-in for a language model, so that the example runs without an API key.

It can do one thing: guard `mean` against an empty list. Its responses depend only on the request,
so it resumes where it was after a crash, or a day later when a reviewer has answered.
"""

from __future__ import annotations

from layby.models import ModelRequest, ModelResponse, ToolResult
from layby.testing import ScriptedModel, calls

FILE = "stats.py"
_BODY = '''\
def mean(numbers: list[float]) -> float:
    """The average of some numbers{of_none}."""
    if not numbers:
        {guard}
    return sum(numbers) / len(numbers)
'''
ZERO = _BODY.format(of_none=", 0 of none", guard="return 0.0")
RAISES = _BODY.format(of_none="", guard='raise ValueError("no numbers, no mean")')


def play(request: ModelRequest) -> ModelResponse | str:
    """Look, read, propose, propose again after a rejection, check, and report."""
    parts = [part for message in request.messages for part in message.parts]
    results = [part for part in parts if isinstance(part, ToolResult)]
    if not results:
        return calls("list_files")
    last = results[-1]
    if last.name == "write_file" and last.is_error:
        return _again(results)
    return {
        "list_files": calls("read_file", name=FILE),
        "read_file": calls("write_file", name=FILE, text=ZERO),
        "write_file": calls("check_file", name=FILE),
    }.get(last.name, f"mean() can take an empty list now. {last.content}")


def _again(results: list[ToolResult]) -> ModelResponse | str:
    if sum(result.is_error for result in results) > 1:
        return f"I stopped: {results[-1].content}"
    return calls("write_file", name=FILE, text=RAISES)


offline = ScriptedModel(play, name="offline")
