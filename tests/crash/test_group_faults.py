"""Faults of group commit, each of which a test of the real server catches."""

from __future__ import annotations

from pathlib import Path

import pytest

from layby.bus import group_commit, server
from layby.bus.group_commit import GroupCommit
from layby.bus.outbox import Outbox
from layby.bus.server import EmbeddedServer
from tests.chaos import group_mutants
from tests.fix_bus import Bus, bus_at
from tests.nats.test_group_commit import (
    test_callers_learn_that_they_cannot_know_when_the_server_dies_with_their_batch as unknown,
)
from tests.nats.test_group_commit import (
    test_one_conflict_fails_its_own_message_and_no_other as one_conflict,
)
from tests.nats.test_group_commit import (
    test_one_position_is_created_once_whatever_its_addressee as one_position,
)
from tests.nats.test_outbox import (
    test_one_answer_that_is_refused_stops_no_other as one_refused,
)
from tests.nats.test_outbox import (
    test_senders_learn_that_they_cannot_know_when_the_server_dies_with_their_batch as unknown_sent,
)
from tests.nats.test_outbox import (
    test_what_lies_in_two_streams_is_never_in_one_batch as two_streams,
)
from tests.security.house import started
from tests.security.test_batches import WAYS
from tests.security.test_batches import (
    test_batches_that_are_never_ended_are_bounded_and_stop_nobody as never_ended,
)

pytestmark = [pytest.mark.proof, pytest.mark.nats]


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember what the faults replace."""
    for owner, name in (
        (GroupCommit, "_send"),
        (GroupCommit, "_take"),
        (Outbox, "_learn"),
        (group_commit, "DiskPace"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setenv(group_commit.SETTING, "1")


async def test_taking_a_conflict_for_success_is_caught(bus: Bus) -> None:
    group_mutants.group_commit_ignores_a_conflict()
    with pytest.raises((AssertionError, KeyError)):
        await one_conflict(bus)


async def test_believing_an_unconfirmed_batch_is_caught(own_server: EmbeddedServer) -> None:
    group_mutants.batch_acked_when_uncommitted()
    async with bus_at(own_server.url) as durable:
        with pytest.raises((AssertionError, KeyError)):
            await unknown(own_server, durable, frozen=True)


async def test_creating_a_position_twice_in_one_batch_is_caught(bus: Bus) -> None:
    group_mutants.batch_holds_a_position_twice()
    with pytest.raises(AssertionError):
        await one_position(bus)


async def test_a_sender_that_believes_a_refused_batch_is_caught(bus: Bus) -> None:
    group_mutants.refused_batch_is_believed()
    with pytest.raises((AssertionError, KeyError)):
        await one_refused(bus)


async def test_a_sender_that_believes_an_unstored_batch_is_caught(
    own_server: EmbeddedServer,
) -> None:
    group_mutants.batch_acked_when_uncommitted()
    with pytest.raises((AssertionError, KeyError)):
        await unknown_sent(own_server, frozen=True)


async def test_a_batch_that_spans_two_streams_is_caught(bus: Bus) -> None:
    group_mutants.outbox_mixes_streams()
    with pytest.raises((AssertionError, KeyError)):
        await two_streams(bus)


async def test_a_server_that_takes_unlimited_batches_is_caught(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = server._CONFIG.replace("max_inflight_per_stream: 16, ", "")  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(server, "_CONFIG", text.replace("max_msgs: 64, ", ""))
    (login, subject, stream), *_ = WAYS
    async with started("accounts", tmp_path) as house, house.working():
        with pytest.raises(AssertionError):
            await never_ended(house, tmp_path, login, subject, stream)
