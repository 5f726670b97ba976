"""What an app needs of JetStream, as plain values: streams, consumers, and events of others."""

from __future__ import annotations

from typing import Any

import msgspec


class SourceSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Events that are read from a stream which Layby did not create."""

    stream: str
    subject: str
    awaited: bool = False
    """Runs wait for them, so that they must be readable one by one."""


class StreamSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A stream as it should be; `config` holds the server's own field names."""

    name: str
    subjects: tuple[str, ...]
    config: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    """Settings that bound it, of which an operator may choose others: they are given to a new
    stream, and to one that has none where `layby provision --limits` asks for it."""
    exact: bool = False
    """It must hold these subjects and no others; otherwise those that lack are added."""


class ConsumerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A durable pull consumer as it should be."""

    stream: str
    name: str
    filter: str
    ack_wait: float = 15.0
    max_ack_pending: int = 5_000
    only_new: bool = False
    """Begin with what comes after its creation, when the stream existed before it."""
    guest: bool = False
    """It is in a stream that others created: its name must not be one of theirs."""


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an app needs."""

    streams: tuple[StreamSpec, ...]
    consumers: tuple[ConsumerSpec, ...]
    sources: tuple[SourceSpec, ...] = ()
    """Events in streams that Layby did not create."""
