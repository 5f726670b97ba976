"""Seeded faults of sealing: each must be seen by a test of its promise."""

from __future__ import annotations

import os

import pytest

from layby.bus import sealing
from tests.unit import test_sealing as promises


class _Unbound:
    """Encrypts without associated data."""

    def __init__(self, key: bytes) -> None:
        aead, _ = sealing._primitives()
        self._aead = aead(key)

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        del associated_data
        sealed: bytes = self._aead.encrypt(nonce, data, None)
        return sealed

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        del associated_data
        opened: bytes = self._aead.decrypt(nonce, data, None)
        return opened


def test_associated_data_that_is_ignored_lets_entries_be_moved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Loose(sealing.Cipher):
        def __init__(self, key: sealing.KeyName, secrets: bytes, purpose: str) -> None:
            super().__init__(key, secrets, purpose)
            self._aead = _Unbound(sealing._derive(secrets, f"seal {purpose}"))

    monkeypatch.setattr(promises, "Cipher", Loose)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        promises.test_what_was_sealed_for_another_place_does_not_open("to.0.log.r1.3")


def test_a_nonce_that_is_counted_from_the_start_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a worker would that counts, and begins anew after a crash."""
    monkeypatch.setattr(os, "urandom", bytes)
    with pytest.raises(AssertionError):
        promises.test_one_text_is_sealed_differently_each_time()


def test_one_key_for_all_runs_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    real = sealing._derive

    def same(secrets: bytes, _: str) -> bytes:
        return real(secrets, "all")

    monkeypatch.setattr(sealing, "_derive", same)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        promises.test_the_key_of_another_run_does_not_open_it()
