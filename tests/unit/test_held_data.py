"""The data of attachments in requests: it is stored with the task, and shown again where it was."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from layby.actors.models import anthropic_wire, openai_wire, responses_wire
from layby.actors.models.held_data import HeldData, data_in, digest, held_in, restored
from layby.actors.threads.turn import NetworkInput, TurnInput
from layby.models import Document, Image, Message, ModelRequest, Text

PNG = Image(data=b"\x89PNG\r\n" + b"x" * 5000)
PDF = Document(data=b"%PDF-" + b"y" * 5000, name="a.pdf")
SMALL = Image(data=b"\x89PNG\r\n")
REQUEST = ModelRequest(
    system="Look.", messages=[Message(role="user", parts=[Text(text="So?"), PNG, PDF, SMALL])]
)
BODIES: list[dict[str, Any]] = [
    anthropic_wire.write_request(REQUEST),
    openai_wire.write_request(REQUEST),
    responses_wire.write_response_request(REQUEST),
    msgspec.to_builtins(REQUEST),
]


def as_recorded(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


@pytest.mark.parametrize("body", BODIES)
def test_it_comes_back_from_the_input_of_the_network(body: dict[str, Any]) -> None:
    stored = as_recorded(HeldData([PNG, PDF, SMALL]).without(body))
    assert len(msgspec.json.encode(stored)) < 1500
    assert set(held_in(stored)) == {digest(PNG.base64), digest(PDF.base64)}
    task = NetworkInput(network="desk", input="So?", attachments=[PNG, PDF, SMALL])
    turn = TurnInput(agent="Clerk", network="desk", task=task)
    for held in (task, turn):
        known = {digest(data): data for data in data_in(as_recorded(held))}
        assert restored(stored, known) == as_recorded(body)


def test_what_the_log_does_not_hold_stays_in_the_request() -> None:
    for held in (HeldData([]), HeldData([SMALL]), HeldData([Image(url="https://a.b/c.png")])):
        assert held.without(BODIES[0]) == BODIES[0]


def test_what_is_lost_is_shown_by_its_digest_and_size() -> None:
    stored = HeldData([PNG]).without(BODIES[1])
    shown = restored(stored, {})
    assert shown == stored
    [picture] = [block for block in shown["messages"][1]["content"] if "image_url" in block][:1]
    assert picture["image_url"]["url"] == {
        "$held": digest(PNG.base64),
        "size": len(PNG.base64),
        "before": "data:image/png;base64,",
    }


def test_words_that_look_like_it_are_left_alone() -> None:
    odd = {"messages": [{"content": {"$held": 7}}, {"$held": ["x"]}, {"$held": "unknown"}]}
    assert HeldData([PNG]).without(odd) == odd
    assert list(held_in(odd)) == ["unknown"]
    assert restored(odd, {digest(PNG.base64): PNG.base64}) == odd
