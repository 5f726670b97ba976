"""A scripted stand-in for a language model, so that the example runs without an API key.

Its responses depend only on the request, so it resumes where it was after a crash.
"""

from __future__ import annotations

import json
import re

from layby.models import ModelRequest, ModelResponse, ToolResult
from layby.testing import ScriptedModel, calls

_CITED = re.compile(r"\[([\w/-]+)\]")


def play(request: ModelRequest) -> ModelResponse | str:
    """Search and report, write, or judge: whichever the request asks for."""
    offered = [tool.name for tool in request.tools]
    if "final_answer" in offered:
        return _judge(request)
    if offered:
        return _research(request, offered[0])
    return _write(request)


def _research(request: ModelRequest, tool: str) -> ModelResponse | str:
    parts = [part for message in request.messages for part in message.parts]
    results = [part for part in parts if isinstance(part, ToolResult)]
    if not results:
        return calls(tool, query=request.messages[0].text)
    found = json.loads(results[-1].content)
    return " ".join(f"{note['text']} [{note['source']}]" for note in found) or "Nothing was found."


def _write(request: ModelRequest) -> str:
    retold = [message.text for message in request.messages if "It said: " in message.text]
    reports = [text.partition("It said: ")[2] for text in retold]
    facts = [text for text in reports if _CITED.search(text)]
    # The first draft leaves out the last finding, so that the critic has something to criticize.
    revised = any(message.role == "assistant" for message in request.messages)
    return " ".join(facts if revised else facts[:-1])


def _judge(request: ModelRequest) -> ModelResponse:
    texts = [message.text for message in request.messages if "[Writer took a turn" in message.text]
    cited = set(_CITED.findall(texts[-1])) - {"Writer took a turn."}
    everything = {s for message in request.messages for s in _CITED.findall(message.text)}
    missing = sorted(source for source in everything - cited if "/" in source)
    if missing:
        return calls("final_answer", ok=False, missing=f"Add {', '.join(missing)}.")
    return calls("final_answer", ok=True)


offline = ScriptedModel(play, name="offline")
