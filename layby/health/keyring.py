"""Whether the keyring here has the keys that the encrypted data needs."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from ..bus.bucket import Bucket
from ..bus.errors import InvalidSettings, PermissionDenied, StreamMissing
from ..bus.keyring import VARIABLE, Keyring, KeyService
from ..bus.keys_in_use import CHECK
from ..bus.requests import Requests
from ..bus.secret_record import decode
from ..bus.secret_store import BUCKET
from ..bus.vault import Vault
from ..views.rows import Finding

_SUBJECT = "encryption"


class _InUse(NamedTuple):
    """The keys of the keyring that are in use."""

    wraps: dict[str, int]
    """How many records each wraps."""
    noted: tuple[str, ...]
    """Those that a worker demands when it starts."""


async def keyring(requests: Requests) -> list[Finding]:
    """The findings about keys; none if nothing is encrypted, or this user may not look."""
    with suppress(StreamMissing, PermissionDenied):
        use = await _in_use(requests)
        if not use.wraps:
            return []
        vault = requests.vault
        if not isinstance(vault, Vault):
            return [_no_keyring(use)]
        try:
            return await _compared(vault.secrets.ring, use)
        except InvalidSettings as error:
            return [Finding(level="error", subject=_SUBJECT, message=str(error))]
    return []


async def _in_use(requests: Requests) -> _InUse:
    wraps: dict[str, int] = {}
    noted: tuple[str, ...] = ()
    async for item in Bucket(requests, BUCKET).items():
        record = item.read(decode)
        if record is not None and record.ring:
            wraps[record.ring] = wraps.get(record.ring, 0) + 1
            noted = record.used if item.key == CHECK else noted
    return _InUse(wraps, noted)


def _no_keyring(use: _InUse) -> Finding:
    return Finding(
        level="warn",
        subject=_SUBJECT,
        message=f"data here is encrypted under {_quoted(use.wraps)}, but there is no keyring here",
        advice=f"Set {VARIABLE} to read it: without it, lists show (encrypted).",
    )


async def _compared(ring: KeyService, use: _InUse) -> list[Finding]:
    missing = {key: n for key, n in sorted(use.wraps.items()) if not await ring.holds(key)}
    if missing:
        records = ", ".join(f"{key!r} ({_records(n)})" for key, n in missing.items())
        lost = Finding(
            level="error",
            subject=_SUBJECT,
            message=f"the keyring does not hold {records}: what they wrap cannot be read here",
            advice="Add the key after the first: without it the data is lost.",
        )
        return [lost]
    counts = ", ".join(f"{key!r} {_records(n)}" for key, n in sorted(use.wraps.items()))
    found = [Finding(level="ok", subject=_SUBJECT, message=f"wrapped by {counts}")]
    if noted := [key for key in use.noted if key not in use.wraps and key != await ring.primary()]:
        found.append(
            Finding(
                level="warn",
                subject=_SUBJECT,
                message=f"no secret needs {_quoted(noted)} now, but workers still demand it",
                advice="`layby keyring rotate APP` ends that; then take it out of the keyring.",
            )
        )
    spare = [
        key for key in (ring.ids[1:] if isinstance(ring, Keyring) else []) if _unused(key, use)
    ]
    if spare:
        found.append(
            Finding(
                level="ok",
                subject=_SUBJECT,
                message=f"no secret needs {_quoted(spare)}",
                advice="Take it out of the keyring, unless it is new and will come first.",
            )
        )
    return found


def _unused(key: str, use: _InUse) -> bool:
    return key not in use.wraps and key not in use.noted


def _quoted(keys: Iterable[str]) -> str:
    return ", ".join(map(repr, sorted(keys)))


def _records(count: int) -> str:
    return f"{count} record{'' if count == 1 else 's'}"
