"""A scripted stand-in for a language model, so that the example runs without an API key.

Its responses depend only on the request, so it resumes where it was after a crash, or when people
have decided.
"""

from __future__ import annotations

import re

from layby.models import ModelRequest, ModelResponse, ToolResult
from layby.testing import ScriptedModel, calls

_CENTS = re.compile(r"(\d+) cents")


def play(request: ModelRequest) -> ModelResponse | str:
    """Look at the order, propose to pay all of it back, and report what became of that."""
    parts = [part for message in request.messages for part in message.parts]
    results = [part for part in parts if isinstance(part, ToolResult)]
    order = request.messages[0].text.split()[0]
    if not results:
        return calls("look_up", order=order)
    last = results[-1]
    found = _CENTS.search(last.content)
    if last.name == "look_up" and found is not None:
        return calls("refund", order=order, cents=int(found[1]))
    return f"Not refunded: {last.content}" if last.is_error else last.content


offline = ScriptedModel(play, name="offline")
