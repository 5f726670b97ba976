"""A scripted stand-in for a language model, so that the example runs without an API key.

Its responses depend only on the request, so it resumes where it was after a crash. About a fault it
asks a developer two questions, the second one about the first answer.
"""

from __future__ import annotations

import json

from layby.models import ModelRequest, ModelResponse, Text, ToolResult
from layby.testing import ScriptedModel, calls


def play(request: ModelRequest) -> ModelResponse | str:
    """Route, search, ask twice, reply."""
    offered = {tool.name for tool in request.tools}
    parts = [part for message in request.messages for part in message.parts]
    title = next((part.text for part in parts if isinstance(part, Text)), "")
    results = [part for part in parts if isinstance(part, ToolResult)]
    if "route_to_agent" in offered:
        fault = "not working" in title
        return calls("route_to_agent", agent="Technical Support" if fault else "Customer Support")
    if any(result.name == "reply_to_customer" for result in results):
        return "The customer has a reply."
    if "ask_developer" in offered:
        return _technical(title, results)
    if not results:
        return calls("search_knowledge_base", keyword=title)
    found = json.loads(results[-1].content)
    text = found[0]["content"] if found else "We are looking into it."
    return calls("reply_to_customer", message=text)


def _technical(title: str, results: list[ToolResult]) -> ModelResponse:
    if not results:
        return calls("search_latest_release_notes", query=title)
    answers = [json.loads(r.content) for r in results if r.name == "ask_developer"]
    if answers and "error" in answers[-1]:
        return calls("reply_to_customer", message="Our developers are looking into it.")
    said = [str(answer["developerResponse"]) for answer in answers]
    if not said:
        return calls("ask_developer", question="Is this a known fault?", context=title)
    if len(said) == 1:
        return calls("ask_developer", question="Which version has the fix?", context=said[0])
    return calls("reply_to_customer", message=" ".join(said))


offline = ScriptedModel(play, name="offline")
