"""What a client logs in with, checked before it is used; errors quote none of it."""

from __future__ import annotations

import base64
import importlib
import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from nats.aio.client import RawCredentials

from .errors import InvalidSettings
from .settings import ConnectionSettings, readable

_JWT: Final = re.compile(r"-+BEGIN NATS USER JWT-+\s+([\w.-]+)\s")
_SEED: Final = re.compile(r"-+BEGIN USER NKEY SEED-+\s+(\w+)\s")
_RAW: Final = (
    "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n"
    "-----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n"
)
_NEITHER: Final = (
    "That is neither the text of a credentials file, with a NATS USER JWT and a USER NKEY SEED, "
    "nor an nkey seed, one line that begins with SU."
)


class _Claims(msgspec.Struct):
    name: str = ""
    sub: str = ""


def options(settings: ConnectionSettings) -> dict[str, Any]:
    """The login of these settings, as nats-py takes it.

    Raises:
        InvalidSettings: a file cannot be read, or holds something else.
    """
    if settings.creds or settings.nkey or settings.pasted:
        _demand_nkeys(settings)
    if settings.pasted:
        return _pasted(settings.pasted)
    if settings.creds:
        # The client would read forever if the file lacks one of these lines.
        text = readable(settings.creds, "credentials file")
        if b"BEGIN NATS USER JWT" not in text or b"BEGIN USER NKEY SEED" not in text:
            raise InvalidSettings(
                f"{settings.creds} is not a credentials file: it should hold a NATS USER JWT and "
                "a USER NKEY SEED. Make one with `nsc generate creds`."
            )
        return {"user_credentials": settings.creds}
    if settings.nkey:
        seed = Path(settings.nkey)
        if _public(readable(str(seed), "nkey seed").strip()) is None:
            raise InvalidSettings(
                f"{seed} does not hold an nkey seed. It should be one line that begins with SU."
            )
        return {"nkeys_seed": settings.nkey}
    if settings.user:
        return {"user": settings.user, "password": settings.password or ""}
    return {"token": settings.token} if settings.token else {}


def named(pasted: str) -> tuple[str, str]:
    """The public key of pasted credentials, and the name in them, which may be empty.

    Raises:
        InvalidSettings: they are not credentials.
    """
    if found := _parts(pasted):
        token, seed = found
        claims = _claims(token)
        if claims is not None and _public(seed.encode()) is not None:
            return claims.sub, claims.name
    elif key := _public(pasted.strip().encode(errors="replace")):
        return key, ""
    raise InvalidSettings(_NEITHER)


def _pasted(text: str) -> dict[str, Any]:
    named(text)
    if found := _parts(text):
        return {"user_credentials": RawCredentials(_RAW.format(*found))}
    return {"nkeys_seed_str": text.strip()}


def _parts(text: str) -> tuple[str, str] | None:
    """The token and the seed in the text of a credentials file."""
    token, seed = _JWT.search(text), _SEED.search(text)
    return (token[1], seed[1]) if token and seed else None


def _claims(token: str) -> _Claims | None:
    try:
        body = token.split(".")[1]
        return msgspec.json.decode(
            base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=_Claims
        )
    except (ValueError, IndexError):  # msgspec's errors are ValueErrors
        return None


def _demand_nkeys(settings: ConnectionSettings) -> None:
    if importlib.util.find_spec("nkeys") is None:
        raise InvalidSettings(
            f"Logging in with {settings.login} needs the package `nkeys`: `pip install nkeys`."
        )


def _public(seed: bytes) -> str | None:
    """The public key of a user's seed; None if it is not a seed."""
    from_seed: Callable[[bytearray], Any] = importlib.import_module("nkeys").from_seed  # optional
    try:
        pair = from_seed(bytearray(seed))
        key: str = pair.public_key.decode()
        pair.wipe()
    except Exception:  # noqa: BLE001  it raises many kinds; their text may quote the seed
        return None
    return key
