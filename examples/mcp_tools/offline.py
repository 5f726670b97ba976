"""A scripted stand-in for a language model, so that the example runs without an API key."""

from __future__ import annotations

from layby.models import ModelRequest, ModelResponse, ToolResult
from layby.testing import ScriptedModel, calls


def play(request: ModelRequest) -> ModelResponse | str:
    """Look the order up, cancel it if possible, and report."""
    parts = [part for message in request.messages for part in message.parts]
    results = [part for part in parts if isinstance(part, ToolResult)]
    order = request.messages[0].text.rpartition(" ")[2]
    if not results:
        return calls("orders-find_order", order=order)
    last = results[-1]
    if last.is_error:
        return f"Sorry, that did not work: {last.content}"
    if last.name == "orders-find_order" and "open" in last.content:
        return calls("orders-cancel_order", order=order)
    if last.name == "orders-find_order":
        return f"Order {order} is on its way and can no longer be cancelled."
    return last.content


offline = ScriptedModel(play, name="offline")
