"""Whether the time by the server's clock can be relied on."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest

from layby.bus.errors import PermissionDenied
from layby.bus.names import Names
from layby.runtime import clock


class Server:
    """Tells its time, which is ahead by some seconds, or refuses to."""

    names = Names()

    def __init__(self, ahead: float | None) -> None:
        self._ahead = ahead

    async def api(self, verb: str) -> dict[str, Any]:
        assert verb == "STREAM.INFO.RUNS"
        if self._ahead is None:
            raise PermissionDenied("not allowed", subject=verb)
        at = time.time() + self._ahead
        return {"ts": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f"{at % 1:.6f}Z"[1:]}


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    fresh = {"behind": 0.0, "compared": 0.0}
    monkeypatch.setattr(clock, "_known", fresh)
    return fresh


async def sync(server: Server) -> None:
    await clock.sync(cast("Any", server))


async def test_a_clock_that_is_behind_is_corrected_and_says_so(known: dict[str, float]) -> None:
    await sync(Server(90.0))
    assert clock.behind() == pytest.approx(90.0, abs=0.5)
    assert clock.now() == pytest.approx(time.time() + 90.0, abs=0.5)
    assert clock.trouble() == ""
    assert known["compared"] > 0


async def test_a_comparison_of_long_ago_is_trouble(known: dict[str, float]) -> None:
    await sync(Server(0.0))
    known["compared"] -= 301.0
    assert clock.trouble() == "the clock was compared with the server's 301 s ago"
    await sync(Server(0.0))
    assert clock.trouble() == ""


async def test_a_user_who_may_not_read_the_time_is_not_held_up(known: dict[str, float]) -> None:
    await sync(Server(None))
    assert known["compared"] == 0.0
    assert clock.trouble() == ""
