"""The tokens by which nats-server knows operators, accounts and users (version 2)."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from .account import Account, exported
from .login import LAYBY, Login
from .nkey import Key

_UNLIMITED: Final = -1
_THRESHOLD: Final = 30_000_000_000
"""Nanoseconds that the server waits for the next reply of a request with many replies."""
_LIMITS: Final = {
    **dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn"), _UNLIMITED),
    "wildcards": True,
    "leaf": 0,  # no leaf nodes, unless there is a link
}
_SERVICE: Final = "service"
_STREAM: Final = "stream"
_STORE: Final = dict.fromkeys(
    ("mem_storage", "disk_storage", "streams", "consumer", "max_ack_pending"), _UNLIMITED
)


def operator(key: Key, system: str) -> str:
    """The token of the installation, signed by itself; `system` is the system account."""
    return _signed("layby", key.public, key, {"type": "operator", "system_account": system})


def system(public: str, signer: Key) -> str:
    """The token of the system account, which receives the tokens of the others."""
    return _signed("SYS", public, signer, {"type": "account", "limits": _LIMITS})


def account(
    account: Account,
    keys: Mapping[str, Key],
    signer: Key,
    accounts: list[Account],
    revoked: Mapping[str, int],
) -> str:
    """The token of an account.

    No export is public: an import needs a token of the exporting account.

    Args:
        account: What it imports, and how much it may use.
        keys: The key of each account, by its name.
        signer: The operator's key.
        accounts: All accounts: what they import from this one, it exports.
        revoked: Public keys of users, and the Unix time up to which their tokens are void.
    """
    ports, subscribed = exported(account.name, accounts)
    exports = [{**_export(each.subject, _SERVICE), **_replies(each.many)} for each in ports]
    exports += [_export(subject, _STREAM) for subject in subscribed]
    claims: dict[str, Any] = {
        "type": "account",
        "limits": {**_LIMITS, **(_STORE if account.stores else {}), **_limits(account)},
        "revocations": dict(revoked),
        "exports": exports,
        "imports": list(_imports(account, keys)),
        "mappings": {here: [{"subject": there}] for here, there in account.mappings.items()},
    }
    return _signed(account.name, keys[account.name].public, signer, claims)


def _limits(account: Account) -> dict[str, int]:
    if account.linked:
        return {"leaf": _UNLIMITED}
    if (limits := account.limits) is None:
        return {}
    return {
        "conn": limits.connections,
        "subs": limits.subscriptions,
        "payload": limits.payload,
    }


def _imports(account: Account, keys: Mapping[str, Key]) -> Iterator[dict[str, Any]]:
    public = keys[account.name].public
    for each in account.ports:
        local = {"local_subject": each.local} if each.local else {}
        yield {**_import(each.subject, _SERVICE, public, keys[each.account]), **local}
    for subject in account.streams:
        yield _import(subject, _STREAM, public, keys[LAYBY])


def _import(subject: str, kind: str, importer: str, exporter: Key) -> dict[str, Any]:
    return {
        "name": subject,
        "subject": subject,
        "account": exporter.public,
        "type": kind,
        "token": _activation(subject, kind, importer, exporter),
    }


def user(login: Login, public: str, signer: Key) -> str:
    """The token of a login, signed by its account."""
    claims = {
        "type": "user",
        "pub": {"allow": list(login.publish)},
        "sub": {"allow": list(login.receive)},
        **dict.fromkeys(("subs", "data", "payload"), _UNLIMITED),
        **({"allowed_connection_types": ["LEAFNODE"]} if login.is_link else {}),
    }
    return _signed(login.name, public, signer, claims)


def admin(public: str, signer: Key) -> str:
    """The token of the login that pushes the tokens of accounts to the server."""
    claims = {"type": "user", **dict.fromkeys(("subs", "data", "payload"), _UNLIMITED)}
    return _signed("admin", public, signer, claims)


def creds(token: str, key: Key) -> bytes:
    """A credentials file, as clients read it."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{key.seed.decode()}\n------END USER NKEY SEED------\n"
    ).encode()


def _export(subject: str, kind: str) -> dict[str, Any]:
    return {"name": subject, "subject": subject, "type": kind, "token_req": True}


def _activation(subject: str, kind: str, importer: str, exporter: Key) -> str:
    """The exporter's permission for one account to import one subject."""
    claims = {"type": "activation", "subject": subject, "kind": kind}
    return _signed(subject, importer, exporter, claims)


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
