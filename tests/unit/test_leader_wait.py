"""Whether nobody takes a message because no stream does, or because the stream has no leader."""

from __future__ import annotations

from typing import Any

import pytest

from layby.bus import leader_wait
from layby.bus.errors import BusError, NoLeader, PermissionDenied, PublishUnconfirmed, StreamMissing
from layby.bus.leader_wait import when_led

MISSING = StreamMissing("no stream covers the subject")


class Api:
    """Says which streams cover a subject, or fails."""

    def __init__(self, said: list[str] | BusError) -> None:
        self._said = said
        self.asked = 0

    async def api(self, verb: str, body: Any = None) -> dict[str, Any]:
        assert (verb, body) == ("STREAM.NAMES", {"subject": "desk.opened"})
        self.asked += 1
        if isinstance(self._said, BusError):
            raise self._said
        return {"streams": self._said or None}


class Store:
    """Fails so often, and then stores."""

    def __init__(self, *errors: BusError) -> None:
        self._errors = list(errors)
        self.tries = 0

    async def __call__(self) -> str:
        self.tries += 1
        if self._errors:
            raise self._errors.pop(0)
        return "stored"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for a leader often."""
    monkeypatch.setattr(leader_wait, "_PAUSE", 0.001)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up soon."""
    monkeypatch.setattr(leader_wait, "_FOR_PEOPLE", 0.02)


@pytest.mark.parametrize("error", [MISSING, NoLeader("10008")])
async def test_it_is_stored_once_there_is_a_leader(error: BusError) -> None:
    api, store = Api(["EVENTS"]), Store(error, error, error)
    assert await when_led(api, "desk.opened", store) == "stored"
    assert store.tries == 4
    assert api.asked <= 1, "once is enough"


@pytest.mark.usefixtures("impatient")
async def test_a_stream_that_has_no_leader_for_long_is_not_said_to_be_missing() -> None:
    with pytest.raises(NoLeader, match="the stream EVENTS has no leader"):
        await when_led(Api(["EVENTS"]), "desk.opened", Store(*[MISSING] * 1_000))


@pytest.mark.usefixtures("impatient")
async def test_where_nobody_leads_the_cluster_it_is_not_said_either() -> None:
    api = Api(NoLeader("JetStream system temporarily unavailable"))
    with pytest.raises(NoLeader, match="Nothing was stored"):
        await when_led(api, "desk.opened", Store(*[MISSING] * 1_000))


@pytest.mark.parametrize("said", [list[str](), BusError("JetStream is not enabled", code=503)])
async def test_nobody_waits_for_a_stream_that_is_not_there(said: list[str] | BusError) -> None:
    store = Store(*[MISSING] * 1_000)
    with pytest.raises(StreamMissing):
        await when_led(Api(said), "desk.opened", store)
    assert store.tries == 1


@pytest.mark.usefixtures("impatient")
async def test_a_user_who_may_not_ask_waits_and_gets_the_servers_words() -> None:
    store = Store(*[MISSING] * 1_000)
    with pytest.raises(StreamMissing):
        await when_led(Api(PermissionDenied("you may not")), "desk.opened", store)
    assert store.tries > 1


async def test_what_may_be_stored_is_not_sent_again() -> None:
    store = Store(PublishUnconfirmed("no reply"))
    with pytest.raises(PublishUnconfirmed):
        await when_led(Api(["EVENTS"]), "desk.opened", store)
    assert store.tries == 1
