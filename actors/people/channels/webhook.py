"""The channel that posts questions to an address as CloudEvents. docs/webhooks.md."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import logging
import os
import re
import ssl
import time
from contextvars import ContextVar
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from ....runtime.channel import Card, ChannelError, Undeliverable
from ....runtime.errors import InvalidSetup
from ....runtime.times import iso

MEDIA: Final = "application/cloudevents+json"
_WITHIN: Final = 8.0
"""Seconds for one request, from connecting to the status of the response."""
_SHORTEST: Final = 24
"""Bytes of a secret, as Standard Webhooks asks for."""
_PREFIX: Final = "whsec_"
_MAKE: Final = '`echo "whsec_$(openssl rand -base64 32)"` makes one'
_LONGEST_WAIT: Final = 3_600.0
_GONE: Final = 410
_TOO_MANY: Final = 429
_SECONDS: Final = re.compile(r"[0-9]{1,9}")
_POSTING: Final = ContextVar("layby_webhook_posting", default=False)


class Webhook:
    """Questions as CloudEvents to one address. Made by `webhook`."""

    def __init__(self, url: str, *, secret_env: str, name: str) -> None:
        self.name = name
        self._url = url
        self._host = urlsplit(url).hostname or ""
        self._secret_env = secret_env

    def __repr__(self) -> str:
        return f"webhook({self.name!r})"

    def missing(self) -> str:
        """The variable that does not hold a secret."""
        try:
            self._keys()
        except InvalidSetup as error:
            return str(error)
        return ""

    async def send(self, card: Card) -> str:
        """Post a card; return the id of its event. Raises ChannelError, Undeliverable."""
        id_ = _id(card.key)
        await self._post(id_, "layby.card.sent", card)
        return id_

    async def update(self, ref: str, card: Card) -> None:
        """Post the current state of a card. Raises ChannelError, Undeliverable."""
        await self._post(_id(ref, _content(card)), "layby.card.updated", card, ref)

    async def close(self, ref: str, card: Card) -> None:
        """Post how a question ended, and later how its run did. Raises ChannelError."""
        await self._post(_id(ref, _content(card)), "layby.card.closed", card, ref)

    async def _post(self, id_: str, kind: str, card: Card, ref: str = "") -> None:
        import httpx2  # noqa: PLC0415  loading it takes 0.1 s

        body = _json(_event(id_, kind, card, ref or id_))
        try:
            headers = signed(id_, body, self._keys(), int(time.time()))
        except InvalidSetup as error:
            raise ChannelError(str(error)) from None
        logging.getLogger("httpx2").addFilter(_is_no_post)
        posting = _POSTING.set(True)
        try:
            async with (
                asyncio.timeout(_WITHIN),
                httpx2.AsyncClient(verify=_tls(), timeout=_WITHIN) as client,  # no redirects
                client.stream("POST", self._url, content=body, headers=headers) as response,
            ):
                status, wait = response.status_code, response.headers.get("retry-after", "")
        except TimeoutError:
            raise ChannelError(f"{self._host} did not answer within {_WITHIN:g} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            what = type(error).__name__
            raise ChannelError(f"{self._host} cannot be reached ({what})") from None
        finally:
            _POSTING.reset(posting)
        if not 200 <= status < 300:  # noqa: PLR2004
            raise _refused(self._host, status, wait)

    def _keys(self) -> list[bytes]:
        """The secrets. Raises InvalidSetup."""
        words = os.environ.get(self._secret_env, "").split()
        if not words:
            raise InvalidSetup(f"{self._secret_env} is not set: the webhook's secret; {_MAKE}")
        return [_key(word, self._secret_env) for word in words]


def webhook(
    url: str,
    *,
    secret_env: str = "LAYBY_WEBHOOK_SECRET",  # noqa: S107  its name
    name: str = "webhook",
) -> Webhook:
    """A channel that posts questions to an address as CloudEvents: docs/webhooks.md.

    Each request is signed with a timestamp, as Standard Webhooks defines it.

    Args:
        url: The address. Redirects from it are not followed.
        secret_env: The variable with the secret, `whsec_` and base64. Of several secrets, separated
            by spaces, each signs, until the receiver knows the new one.
        name: The name of the channel.

    Raises:
        InvalidSetup: `url` is not the address of a web server, or holds a login.
    """
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, is_url = urlsplit(""), False
    if not is_url or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidSetup("webhook: give the address of a web server, https://acme.example/hooks")
    if "@" in parts.netloc:
        raise InvalidSetup("webhook: leave the login out of the address: requests are signed")
    return Webhook(url, secret_env=secret_env, name=name)


def signed(id_: str, body: bytes, keys: list[bytes], at: int) -> dict[str, str]:
    """The headers of a request, with its signature by each key."""
    said = f"{id_}.{at}.".encode() + body
    signatures = (hmac.digest(key, said, hashlib.sha256) for key in keys)
    return {
        "content-type": MEDIA,
        "user-agent": "layby",
        "webhook-id": id_,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(
            f"v1,{base64.b64encode(signature).decode()}" for signature in signatures
        ),
    }


def _event(id_: str, kind: str, card: Card, ref: str) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": id_,
        "source": f"urn:layby:run:{card.run}",
        "type": kind,
        "subject": card.ticket,
        "time": iso(card.closed_at or card.asked_at),
        "datacontenttype": "application/json",
        "data": {"ref": ref, "card": card},
    }


def _id(*parts: str) -> str:
    """The id of an event: the same for the same event, and for no other."""
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:32]


def _content(card: Card) -> str:
    return hashlib.sha256(_json(card)).hexdigest()


def _json(value: Any) -> bytes:
    """JSON in ASCII: half a character, which UTF-8 does not have, is an escape."""
    return json.dumps(msgspec.to_builtins(value)).encode()


def _key(word: str, variable: str) -> bytes:
    try:
        key = base64.b64decode(word.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not word.startswith(_PREFIX) or len(key) < _SHORTEST:
        raise InvalidSetup(
            f"{variable} holds something that is not a secret, {_PREFIX} and the base64 of "
            f"{_SHORTEST} bytes or more: {_MAKE}"
        )
    return key


def _refused(host: str, status: int, wait: str) -> ChannelError:
    """The error for a status that is not a success."""
    said = f"{host} answered with the status {status}"
    if status == _GONE:
        return Undeliverable(f"{said}: it wants no more events")
    if 300 <= status < 400:  # noqa: PLR2004
        said += ": redirects are not followed, so give the address that it leads to"
    after = min(float(wait), _LONGEST_WAIT) if _SECONDS.fullmatch(wait) else None
    return ChannelError(said, retry_after=after)


def _is_no_post(record: logging.LogRecord) -> bool:  # noqa: ARG001  logging gives it
    """Whether a line of the HTTP client may be logged: it holds the address with its keys."""
    return not _POSTING.get()


@cache
def _tls() -> ssl.SSLContext:
    """Reading the system's certificates takes long enough to be done once."""
    return ssl.create_default_context()
