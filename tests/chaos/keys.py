"""The keys of a campaign: with `--encrypted`, or CHAOS_ENCRYPTED=1, all that is stored is sealed.

Whoever judges holds the same keyring as the workers, and none of their memory: at the end every log
is opened anew.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from layby import Keyring
from layby.bus.bucket import Bucket
from layby.bus.errors import Erased, KeyMissing, Tampered
from layby.bus.log import Log
from layby.bus.requests import Requests
from layby.bus.sealing import is_sealed
from layby.bus.secret_store import BUCKET, SecretStore
from layby.bus.vault import Vault

ENCRYPTED: Final = "CHAOS_ENCRYPTED"
"""Environment variable: set if the app is encrypted."""


def keyring() -> Keyring | None:
    """The keyring of a campaign; None: nothing is encrypted."""
    return Keyring({"chaos": bytes(32)}) if os.environ.get(ENCRYPTED) == "1" else None


@contextmanager
def encrypted(*, yes: bool) -> Generator[None]:
    """Encrypt what campaigns store while the block runs, if `yes`; else leave it as it is."""
    before = os.environ.get(ENCRYPTED)
    if yes:
        os.environ[ENCRYPTED] = "1"
    try:
        yield
    finally:
        if yes and before is None:
            del os.environ[ENCRYPTED]


def fresh_vault(requests: Requests) -> Vault | None:
    """What opens what is stored, and remembers nothing yet."""
    ring = keyring()
    if ring is None:
        return None
    return Vault(SecretStore(Bucket(requests, BUCKET), ring), Log(requests).first)


async def opened(vault: Vault, run: str, n: int, data: bytes, place: str) -> bytes | str:
    """Position `n` of a run as it was written, or why it cannot be read."""
    if not is_sealed(data):
        return f"run {run}: position {n} is plain"
    try:
        return await vault.entry(run, n, data, place)
    except (Erased, KeyMissing, Tampered) as error:
        return f"run {run}: position {n} cannot be read: {error}"
