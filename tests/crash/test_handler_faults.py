"""Two handlers of one mail: what keeps the second from repeating a record has faults here."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from layby.bus.mailbox import Delivery, Mailbox
from layby.runtime.freshness import Freshness
from layby.runtime.run import LiveRun
from layby.worker import worker
from tests import engine as module
from tests.acceptance.test_two_handlers import heard  # noqa: F401  # pyright: ignore[reportUnusedImport]  a fixture
from tests.acceptance.test_two_handlers import (
    test_a_handler_that_is_behind_leaves_the_mail_to_the_one_that_is_ahead as behind,
)
from tests.acceptance.test_two_handlers import (
    test_a_handler_that_was_given_the_mail_of_another_looks_again_before_its_step as looks_again,
)
from tests.acceptance.test_two_handlers import (
    test_a_handler_that_was_held_up_reads_the_log_before_its_next_step as held_up,
)
from tests.acceptance.test_two_handlers import (
    test_an_event_that_another_worker_is_handling_is_not_acknowledged as not_acknowledged,
)
from tests.engine import Engine
from tests.fix_bus import Bus
from tests.fix_proxy import Proxy
from tests.nats.test_mailbox import post_on
from tests.nats.test_mailbox import (
    test_a_full_mailbox_notices_that_its_consumer_is_gone as notices,
)

pytestmark = [pytest.mark.nats, pytest.mark.proof]


class _Blind(dict[int, bool]):
    """Never says that somebody else has recorded something for a mail."""

    def __setitem__(self, n: int, seen: bool) -> None:
        super().__setitem__(n, False)  # noqa: FBT003


@pytest.fixture
def rivals_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    make = LiveRun.__init__

    def made(self: LiveRun, *given: Any, **more: Any) -> None:
        make(self, *given, **more)
        self.handled = _Blind()

    monkeypatch.setattr(LiveRun, "__init__", made)


@pytest.fixture
def old_views_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Freshness, "is_over", False)


@pytest.fixture
def handed_back(monkeypatch: pytest.MonkeyPatch) -> None:
    handing: set[asyncio.Task[None]] = set()

    def hand_back(self: Delivery) -> None:
        handing.add(asyncio.ensure_future(self.nak(0.1)))

    monkeypatch.setattr(Delivery, "let_go", hand_back)


@pytest.mark.usefixtures("old_views_trusted")
async def test_a_handler_that_trusts_stale_state_is_caught(engine: Engine, proxy: Proxy) -> None:
    with pytest.raises(AssertionError):
        await held_up(engine, proxy)


@pytest.mark.usefixtures("rivals_unseen")
async def test_a_second_handler_that_continues_alongside_the_first_is_caught(
    engine: Engine, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_GRACE", 0.1)
    with pytest.raises(AssertionError):
        await looks_again(engine, proxy, monkeypatch, learns=True)


@pytest.mark.usefixtures("handed_back")
async def test_handing_mail_to_a_third_worker_is_caught(
    engine: Engine,
    proxy: Proxy,
    heard: list[bytes],  # noqa: F811
) -> None:
    with pytest.raises(AssertionError):
        await behind(engine, proxy, heard)


@pytest.mark.usefixtures("rivals_unseen")
async def test_acknowledging_an_event_for_another_worker_is_caught(
    engine: Engine, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WITHIN", 4.0)
    with pytest.raises((AssertionError, TimeoutError)):
        await not_acknowledged(engine, proxy, monkeypatch)


async def test_a_full_mailbox_that_hears_nothing_is_caught(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(self: Mailbox, now: float) -> None:
        del self, now

    monkeypatch.setattr(Mailbox, "_ask_if_full", never)
    with pytest.raises(TimeoutError):
        await notices(await post_on(bus))
