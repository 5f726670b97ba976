"""A fault of the keys of runs, which a test of two workers catches."""

from __future__ import annotations

from typing import Any

import pytest

from layby.bus.requests import Requests
from layby.bus.vault import Vault
from tests.nats.test_vault import (
    test_a_run_that_was_taken_for_a_new_one_keeps_the_key_of_its_first_entry as kept,
)
from tests.nats.test_vault import workers

__all__ = ["workers"]

pytestmark = [pytest.mark.proof, pytest.mark.nats]


async def test_believing_a_chosen_key_is_caught(
    workers: list[Requests], monkeypatch: pytest.MonkeyPatch
) -> None:
    def chosen(vault: Vault, run: str) -> Any:
        known = vault._known(run)
        return known.cipher if known is not None else None

    monkeypatch.setattr(Vault, "cached", chosen)
    with pytest.raises(AssertionError):
        await kept(workers)
