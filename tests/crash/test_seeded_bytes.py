"""Seeded faults in reading malformed input: the attacks of tests/security must catch each."""

from __future__ import annotations

from typing import Any

import pytest

from layby.bus import wire
from layby.bus.errors import LaybyError
from layby.runtime import host, run
from layby.runtime.envelope import UNREADABLE, decode
from layby.runtime.worker import Worker
from tests import engine as waiting
from tests.engine import Engine
from tests.security.test_entries import test_mail_that_its_log_does_not_hold_ends_no_run as stray
from tests.security.test_entries import (
    test_rubbish_at_the_next_positions_wedges_no_run as next_positions,
)
from tests.security.test_hints import (
    test_a_word_that_the_log_does_not_hold_is_not_obeyed as cancelled,
)
from tests.security.test_server_headers import (
    test_an_answer_is_of_who_sent_it_when_it_was_stored as answered,
)

pytestmark = [pytest.mark.proof, pytest.mark.nats]


async def _obeyed(self: Worker, msg: Any) -> None:
    self.host.stop_run(str(msg.subject).rpartition(".")[2])


async def _always(*_: Any) -> bool:
    return True


@pytest.mark.parametrize(
    ("owner", "name", "fault", "attack", "more"),
    [
        (wire, "_SERVER_HEADERS", frozenset[str](), answered, {"name": "every header"}),
        (run, "read", decode, next_positions, {"to": "log"}),
        (Worker, "_on_cancel", _obeyed, cancelled, {"word": "cancel"}),
        (host, "is_in", _always, stray, {}),
    ],
    ids=[
        "first_header_is_believed",
        "rubbish_in_a_log_raises",
        "cancel_is_obeyed_unseen",
        "stray_mail_ends_its_run",
    ],
)
async def test_an_attack_with_bytes_catches(
    engine: Engine,
    clean_nats: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    owner: Any,
    name: str,
    fault: Any,
    attack: Any,
    more: dict[str, Any],
) -> None:
    monkeypatch.setattr(owner, name, fault)
    monkeypatch.setattr(waiting, "WITHIN", 3.0)
    with pytest.raises((AssertionError, TimeoutError, LaybyError, *UNREADABLE)):
        await attack(engine, clean_nats, **more)
