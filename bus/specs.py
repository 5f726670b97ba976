"""What an app needs from JetStream, as plain values: streams, consumers and sources."""

from __future__ import annotations

from typing import Any, Final

import msgspec

CARDS: Final = "cards-"
"""The first characters of the names of the consumers of channels."""


BATCHES: Final = "allow_atomic"
"""The setting of a stream that takes atomic batches: see `group_commit`."""


class SourceSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Events that are read from a stream that Layby did not create."""

    stream: str
    subject: str
    awaited: bool = False
    """Runs wait for them, so they must be readable one by one."""


class StreamSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A stream as it should be; `config` holds the server's own field names."""

    name: str
    subjects: tuple[str, ...]
    config: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    """Size limits, which an operator may change: they are set on a new stream, and with
    `layby provision --limits` on an existing one that has none."""
    exact: bool = False
    """It must hold exactly these subjects; otherwise missing ones are added."""
    outside: bool = False
    """Outsiders may publish to it. It takes batches only on request, and only with one copy: an
    unfinished batch counts for no quota, and with several copies it is held in memory."""
    noted: bool = False
    """Its metadata notes which app has declared which of its subjects."""


class ConsumerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A durable pull consumer as it should be."""

    stream: str
    name: str
    filter: str
    also: tuple[str, ...] = ()
    """Further subjects that it reads."""
    ack_wait: float = 15.0
    max_ack_pending: int = 5_000
    only_new: bool = False
    """Begin with messages stored after its creation, if the stream existed before it."""
    lookahead: bool = False
    """It is read ahead of a mailbox, and its messages are not acknowledged."""
    guest: bool = False
    """It is in a stream that somebody else created: its name must not be one of theirs."""
    own: bool = False
    """It serves only one app; other apps of the prefix have none with that name."""
    one_at_a_time: bool = False
    """Its messages are requested one at a time: see `Mailbox`."""

    @property
    def filters(self) -> tuple[str, ...]:
        """All subjects that it reads."""
        return (self.filter, *self.also)

    @property
    def filter_config(self) -> dict[str, Any]:
        """The same in the server's own field names."""
        return {"filter_subjects": self.filters} if self.also else {"filter_subject": self.filter}

    @property
    def create(self) -> str:
        """The request of the server's API that creates it, which names a single filter."""
        name = f"CONSUMER.CREATE.{self.stream}.{self.name}"
        return name if self.also else f"{name}.{self.filter}"


def filters_in(config: dict[str, Any]) -> tuple[str, ...]:
    """The subjects that an existing consumer reads."""
    several = config.get("filter_subjects") or [config.get("filter_subject")]
    return tuple(filter(None, several))


class Begin(msgspec.Struct, frozen=True, kw_only=True):
    """Where new consumers begin in a takeover; others begin with the first message."""

    sequences: dict[str, int] = {}
    """By stream: the first message that its consumers deliver."""
    times: dict[str, str] = {}
    """By consumer: when the first message that it delivers was stored, or later."""

    def first(self, spec: ConsumerSpec) -> dict[str, Any]:
        """Where a consumer begins, in the server's own field names."""
        if at := self.times.get(spec.name):
            return {"deliver_policy": "by_start_time", "opt_start_time": at}
        if (first := self.sequences.get(spec.stream, 1)) > 1:
            return {"deliver_policy": "by_start_sequence", "opt_start_seq": first}
        return {"deliver_policy": "all"}


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an app needs."""

    streams: tuple[StreamSpec, ...]
    consumers: tuple[ConsumerSpec, ...]
    sources: tuple[SourceSpec, ...] = ()
    """Events in streams that Layby did not create."""
    app: str = ""
    """The app's name, which tells its consumers from those of other apps of the prefix."""
