"""Calls that wait while a cluster chooses a leader."""

from __future__ import annotations

from typing import Any

import pytest

from layby.bus.errors import NoLeader, StreamMissing
from layby.bus.patience import PatientApi


class Api:
    """Refuses as it is told to, then replies."""

    def __init__(self, *refusals: Exception) -> None:
        self._refusals = list(refusals)
        self.calls: list[tuple[str, Any, float]] = []

    async def api(self, verb: str, body: Any = None, *, timeout: float = 5.0) -> dict[str, Any]:  # noqa: ASYNC109
        self.calls.append((verb, body, timeout))
        if self._refusals:
            raise self._refusals.pop(0)
        return {"config": {}}


async def test_a_call_waits_until_somebody_leads() -> None:
    api = Api(NoLeader("between two leaders"), NoLeader("between two leaders"))
    patient = PatientApi(api)

    assert await patient.api("STREAM.UPDATE.RUNS", {"name": "RUNS"}, timeout=10) == {"config": {}}
    assert api.calls == [("STREAM.UPDATE.RUNS", {"name": "RUNS"}, 10)] * 3


async def test_a_cluster_without_a_leader_is_reported() -> None:
    api = Api(*[NoLeader("between two leaders")] * 5)

    with pytest.raises(NoLeader, match="between two leaders"):
        await PatientApi(api, patience=0.15).api("STREAM.INFO.RUNS")
    assert len(api.calls) >= 2, "it asked again before it gave up"


async def test_any_other_refusal_is_reported_at_once() -> None:
    api = Api(StreamMissing("no such stream"))

    with pytest.raises(StreamMissing):
        await PatientApi(api).api("STREAM.INFO.RUNS")
    assert len(api.calls) == 1
