"""What docs/tracing.md promises has faults here, which its acceptance test catches."""

from __future__ import annotations

from typing import Any

import pytest

from layby.runtime import trace_fold
from layby.runtime.body import Body
from layby.tracing import segment
from tests.acceptance.test_engine_traces import (
    test_a_tool_that_waits_links_back_and_repeats_no_span as linked_and_once,
)
from tests.engine import Engine

pytestmark = [pytest.mark.nats, pytest.mark.proof]

_replay = Body._replay  # pyright: ignore[reportPrivateUsage]


async def _replay_as_if_done(body: Any, key: str, slot: Any, wanted: Any) -> Any:
    with body._ports.tracer.work("step", key):
        return await _replay(body, key, slot, wanted)


def _forgets(*_: Any) -> None:
    """Keep nothing of a trace in a run's state."""


def _unlinked(*_: Any) -> None:
    """Link to nothing."""


@pytest.mark.parametrize(
    ("owner", "name", "fault"),
    [
        (trace_fold, "note", _forgets),
        (segment, "Link", _unlinked),
        (Body, "_replay", _replay_as_if_done),
    ],
    ids=["spans_are_forgotten", "segments_do_not_link", "a_replay_is_an_effect"],
)
async def test_a_fault_in_traces_is_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, fault: Any
) -> None:
    monkeypatch.setattr(owner, name, fault)
    with pytest.raises((AssertionError, ValueError)):
        await linked_and_once(engine, monkeypatch)
