"""The names under which the console may be asked, so that no other name can be made to lead here.

A page of another site can have its own name point to this machine (DNS rebinding), and then reads
what is served as its own. The header `Host` gives it away. An address made of digits belongs to
nobody's site, so the console takes every one when it listens on all addresses.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine reach an address."""
    found = _address(host)
    return host == "localhost" if found is None else found.is_loopback


class Hosts:
    """The names of one console.

    Args:
        host: The address that it listens on.
        more: Further names, of a proxy in front of it for instance.
    """

    def __init__(self, host: str, more: Iterable[str] = ()) -> None:
        found = _address(host)
        self._is_wild = found is not None and found.is_unspecified
        self._more = frozenset(name.lower().strip("[]") for name in more)
        self._names = _LOOPBACK | {host.lower()} | self._more

    def knows(self, header: str) -> bool:
        """Whether a header `Host` names this console."""
        name = _hostname(header)
        return name in self._names or (self._is_wild and _address(name) is not None)

    def is_own(self, origin: str, host: str) -> bool:
        """Whether an `Origin` is this console, asked as `host`.

        A proxy may ask under another name than the browser: that name has to be a further one.
        """
        try:
            place = urlsplit(origin).netloc.lower()
        except ValueError:
            return False
        return bool(place) and (place == host.lower() or _hostname(place) in self._more)


def _hostname(netloc: str) -> str:
    """The name in `name:port`; empty if it is not one."""
    try:
        parts = urlsplit(f"//{netloc}")
        odd = parts.username or parts.path or parts.port == 0
    except ValueError:
        return ""
    return "" if odd else parts.hostname or ""


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
