"""The tokens by which nats-server knows operators, accounts and users (version 2)."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from .login import LAYBY, Login
from .nkey import Key
from .wall import Account

_UNLIMITED: Final = -1
_THRESHOLD: Final = 30_000_000_000
"""Nanoseconds that the way back of a request with many replies stays open without one."""
_LIMITS: Final = {
    **dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn"), _UNLIMITED),
    "wildcards": True,
    "leaf": 0,  # nobody joins a server of their own to an account
}
_STORE: Final = dict.fromkeys(
    ("mem_storage", "disk_storage", "streams", "consumer", "max_ack_pending"), _UNLIMITED
)


def operator(key: Key, system: str) -> str:
    """The token of the installation, signed by itself; `system` is the system account."""
    return _signed("layby", key.public, key, {"type": "operator", "system_account": system})


def system(public: str, signer: Key) -> str:
    """The token of the system account, which gets the tokens of the others."""
    return _signed("SYS", public, signer, {"type": "account", "limits": _LIMITS})


def inner(public: str, signer: Key, accounts: list[Account], revoked: Mapping[str, int]) -> str:
    """The token of the account that holds the streams."""
    services = {service: None for account in accounts for service in account.services}
    exports: list[dict[str, Any]] = [
        {"name": service.subject, "subject": service.subject, "type": "service", **_replies(many)}
        for service in services
        for many in (service.many,)
    ]
    heard = dict.fromkeys(subject for account in accounts for subject in account.streams)
    exports += [{"name": subject, "subject": subject, "type": "stream"} for subject in heard]
    claims = {"exports": exports, "limits": {**_LIMITS, **_STORE}}
    return _account(LAYBY, public, signer, claims, revoked)


def outer(
    account: Account, public: str, exporter: str, signer: Key, revoked: Mapping[str, int]
) -> str:
    """The token of an account of outsiders; `exporter` is the account that holds the streams."""
    pairs = [(each.subject, "service") for each in account.services]
    pairs += [(subject, "stream") for subject in account.streams]
    imports = [
        {"name": subject, "subject": subject, "account": exporter, "type": kind}
        for subject, kind in pairs
    ]
    claims = {"imports": imports, "limits": _LIMITS}
    return _account(account.name, public, signer, claims, revoked)


def user(login: Login, public: str, signer: Key) -> str:
    """The token of a login, signed by its account."""
    claims = {
        "type": "user",
        "pub": {"allow": list(login.publish)},
        "sub": {"allow": list(login.receive)},
        **dict.fromkeys(("subs", "data", "payload"), _UNLIMITED),
    }
    return _signed(login.name, public, signer, claims)


def admin(public: str, signer: Key) -> str:
    """The token of the login that hands tokens of accounts to the server."""
    claims = {"type": "user", **dict.fromkeys(("subs", "data", "payload"), _UNLIMITED)}
    return _signed("admin", public, signer, claims)


def creds(token: str, key: Key) -> bytes:
    """A credentials file, as clients read it."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{key.seed.decode()}\n------END USER NKEY SEED------\n"
    ).encode()


def _account(
    name: str, public: str, signer: Key, claims: dict[str, Any], revoked: Mapping[str, int]
) -> str:
    claims = {**claims, "type": "account", "revocations": dict(revoked)}
    return _signed(name, public, signer, claims)


def _replies(many: bool) -> dict[str, Any]:  # noqa: FBT001  a value, not a switch
    if not many:
        return {"response_type": "Singleton"}
    return {"response_type": "Stream", "response_threshold": _THRESHOLD}


def _signed(name: str, subject: str, signer: Key, claims: dict[str, Any]) -> str:
    body: dict[str, Any] = {
        "iat": int(time.time()),
        "iss": signer.public,
        "name": name,
        "sub": subject,
        "nats": {**claims, "version": 2},
    }
    digest = hashlib.sha256(msgspec.json.encode(body)).digest()
    body["jti"] = base64.b32encode(digest).decode().rstrip("=")
    head = _text(msgspec.json.encode({"typ": "JWT", "alg": "ed25519-nkey"}))
    text = f"{head}.{_text(msgspec.json.encode(body))}"
    return f"{text}.{_text(signer.sign(text.encode()))}"


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
