"""A server on loopback that speaks OpenAI's Responses API from a script, like `fix_completions`."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fix_completions import CompletionsApi, Handler, Reply, pieces, serving

_USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 30,
}


@pytest.fixture
def responses_api() -> Iterator[CompletionsApi]:
    """A server of its own for one test."""
    # On a busy machine it takes seconds, which are not the test's.
    importlib.import_module("openai.resources.responses")
    with serving(_Handler) as api:
        yield api


def thought(id: str = "rs_1", sealed: str | None = "c2VhbGVk") -> dict[str, Any]:  # noqa: A002
    """What a model has thought, as the API sends it."""
    item: dict[str, Any] = {"type": "reasoning", "id": id, "summary": [], "status": "completed"}
    return {**item, "encrypted_content": sealed} if sealed else item


class _Handler(Handler):
    def events(self, model: str, reply: Reply) -> Iterator[str]:
        """What is streamed: named and numbered events."""
        for number, event in enumerate(_events(model, reply)):
            data = json.dumps({**event, "sequence_number": number})
            yield f"event: {event['type']}\ndata: {data}\n\n"


def _events(model: str, reply: Reply) -> Iterator[dict[str, Any]]:
    whole: dict[str, Any] = {"id": "resp_1", "object": "response", "created_at": 1, "output": []}
    whole["model"] = model
    yield {"type": "response.created", "response": {**whole, "status": "in_progress"}}
    items: list[dict[str, Any]] = []
    for place, (item, deltas) in enumerate(_items(reply)):
        at = {"output_index": place, "item_id": item.get("id", ""), "content_index": 0}
        begun = {"type": "response.output_item.added", "output_index": place}
        yield {**begun, "item": {**item, "status": "in_progress"}}
        for kind, delta in deltas:
            yield {"type": kind, "delta": delta, **at}
        items.append(item)
        if reply.cut is None:
            yield {"type": "response.output_item.done", "output_index": place, "item": item}
    if reply.cut == "error":
        yield {"type": "error", "code": "server_error", "message": "The server had an error"}
    if reply.cut is None:
        yield _end({**whole, "output": items}, reply)


def _end(whole: dict[str, Any], reply: Reply) -> dict[str, Any]:
    usage = None if reply.usage == {} else {**_USAGE, **(reply.usage or {})}
    status = "completed" if reply.finish is None else "incomplete"
    details = None if reply.finish is None else {"reason": reply.finish}
    if reply.finish is not None and reply.finish.startswith("failed:"):
        error = {"code": reply.finish.removeprefix("failed:"), "message": "It went wrong."}
        response = {**whole, "status": "failed", "error": error, "usage": None}
        return {"type": "response.failed", "response": response}
    response = {**whole, "status": status, "incomplete_details": details, "usage": usage}
    return {"type": f"response.{status}", "response": response}


def _items(reply: Reply) -> Iterator[tuple[dict[str, Any], list[tuple[str, str]]]]:
    for item in reply.items:
        yield item, []
    content: list[dict[str, Any]] = []
    deltas: list[tuple[str, str]] = []
    if reply.text:
        content.append({"type": "output_text", "text": reply.text, "annotations": []})
        deltas += [("response.output_text.delta", piece) for piece in pieces(reply.text)]
    if reply.refusal:
        content.append({"type": "refusal", "refusal": reply.refusal})
        deltas += [("response.refusal.delta", piece) for piece in pieces(reply.refusal)]
    if content:
        phase = {"phase": reply.phase} if reply.phase else {}
        message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
        yield {**message, "content": content, **phase}, deltas
    for call in reply.calls:
        function = call["function"]
        item = {"type": "function_call", "id": f"fc_{call['id']}", "call_id": call["id"]}
        argued = [
            ("response.function_call_arguments.delta", piece)
            for piece in pieces(function["arguments"])
        ]
        yield {**item, **function, "status": "completed"}, argued
