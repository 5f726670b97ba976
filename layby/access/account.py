"""What crosses from one account to another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from .login import LAYBY

CONNECTIONS: Final = 500
"""Connections that an account of outsiders may have at a time, by default."""
_SUBSCRIPTIONS: Final = 1_000
_SHORT: Final = 128 * 1024
"""Twice the limit of ANSWERS and AUDIT, so that a stream's clear refusal comes first."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the server an account of outsiders may use.

    Attributes:
        connections: How many it may have at a time, over all its logins and all nodes.
        subscriptions: How many each connection may have.
        payload: Bytes of a message that it publishes, including headers.
    """

    connections: int = CONNECTIONS
    subscriptions: int = _SUBSCRIPTIONS
    payload: int = _SHORT


class Service(msgspec.Struct, frozen=True):
    """A subject of one account that others may send requests to."""

    subject: str
    many: bool = False
    """A request gets more than one reply."""
    account: str = LAYBY
    """The account that exports it."""
    local: str = ""
    """Its subject in the importing account, if `subject` means something else there. What is
    published on `subject` is mapped to this."""

    @property
    def requested(self) -> str:
        """The subject that permissions have to allow: they are checked after the mapping."""
        return self.local or self.subject


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account, and what it imports from others."""

    name: str
    ports: tuple[Service, ...] = ()
    streams: tuple[str, ...] = ()
    """Subjects of workers that it may subscribe to."""
    stores: bool = False
    """It has streams of its own."""
    limits: Limits | None = None
    linked: bool = False
    """Other servers may log in to it, as leaf nodes."""

    @property
    def mappings(self) -> dict[str, str]:
        """The subjects that are mapped here, and to what."""
        return {each.subject: each.local for each in self.ports if each.local}


def exported(
    name: str, accounts: Iterable[Account]
) -> tuple[dict[Service, list[str]], dict[str, list[str]]]:
    """The exports of an account, and to which accounts: services, and subjects to subscribe to."""
    ports: dict[Service, list[str]] = {}
    subscribed: dict[str, list[str]] = {}
    for account in accounts:
        for service in account.ports:
            if service.account == name:
                plain = msgspec.structs.replace(service, local="")
                ports.setdefault(plain, []).append(account.name)
        for subject in account.streams if name == LAYBY else ():
            subscribed.setdefault(subject, []).append(account.name)
    return ports, subscribed
