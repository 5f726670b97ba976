"""What must exist in JetStream before a worker runs, and how it is made or verified."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from typing import Any

import msgspec

from . import log
from .errors import BusError, PermissionDenied, StreamMissing, TopologyMismatch
from .names import Names
from .requests import Requests

_NANOS = 1_000_000_000
_PLAIN = Names()
EVENTS = "EVENTS"
"""The stream of events, whose subjects are the users' own."""
_DAY = 86_400
_NO_CONSUMER = 10014
_OVERLAP = 10065
_TRIES = 8
"""Times that a stream's subjects are added before somebody else is blamed for removing them."""
_PAUSE = 0.05
"""Seconds, at most, by which each further try waits longer than the one before."""


class StreamSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A stream as it should be; `config` holds the server's own field names."""

    name: str
    subjects: tuple[str, ...]
    config: dict[str, Any] = {}
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


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an app needs."""

    streams: tuple[StreamSpec, ...]
    consumers: tuple[ConsumerSpec, ...]


def bucket(name: str, names: Names = _PLAIN) -> StreamSpec:
    """A key-value bucket safe against revived deletes: see `bucket.Bucket`."""
    return StreamSpec(
        name=names.bucket_stream(name),
        subjects=(names.keys(name, ">"),),
        config={
            "max_msgs_per_subject": 64,
            "allow_rollup_hdrs": True,
            "deny_delete": True,
            "allow_direct": True,
            "allow_msg_ttl": True,
            "discard": "new",
        },
    )


def streams(
    triggers: Iterable[str],
    roles: Iterable[str],
    log_streams: int = 1,
    names: Names = _PLAIN,
) -> tuple[StreamSpec, ...]:
    """The streams of an app with these trigger subjects and these roles of people."""
    roles = tuple(roles)
    name, own = names.stream, names.subject
    # An advisory can be stored once in an account: by the app that has no prefix.
    advisories = () if names.prefix else ("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>",)
    hardened = {"deny_delete": True, "deny_purge": True, "discard": "new"}
    return (
        StreamSpec(
            name=name(EVENTS),
            subjects=tuple(dict.fromkeys(triggers)),
            config={"max_age": 30 * _DAY * _NANOS, "allow_direct": True},
        ),
        *(
            StreamSpec(
                name=name(share),
                subjects=tuple(map(own, subjects)),
                config={"allow_direct": True},
                exact=True,
            )
            for share, subjects in log.shares(log_streams).items()
        ),
        StreamSpec(
            name=name("QUESTIONS"),
            subjects=tuple(
                own(f"{role}.{noun}.*") for role in roles for noun in ("question", "receipt")
            ),
            config={"max_age": 90 * _DAY * _NANOS, "allow_direct": True},
        ),
        StreamSpec(
            name=name("ANSWERS"),
            subjects=tuple(own(f"{role}.response.>") for role in roles),
            # Anybody may publish here: no rollup, schedule or TTL header works, nothing is removed.
            config={
                **hardened,
                "max_age": 7 * _DAY * _NANOS,
                "max_msg_size": 64 * 1024,
                "max_msgs_per_subject": 1_000,
                "discard_new_per_subject": True,
                "allow_direct": True,
            },
        ),
        StreamSpec(
            name=name("TIMERS"),
            subjects=(own("timer.>"), own("due.>")),
            # A stream with schedules takes rollups: the server switches that on by itself.
            config={
                "retention": "workqueue",
                "allow_msg_schedules": True,
                "allow_rollup_hdrs": True,
                "allow_direct": True,
            },
        ),
        StreamSpec(
            name=name("DEAD"),
            subjects=(own("dead.>"), *advisories),
            config={"max_age": 90 * _DAY * _NANOS, "allow_direct": True},
        ),
        StreamSpec(name=name("BLOBS"), subjects=(own("blob.>"),), config={"allow_direct": True}),
        bucket("parked", names),
        bucket("runs", names),
        bucket("questions", names),
        bucket("blocked", names),
    )


class Provisioner:
    """Creates what is missing and verifies what is there."""

    def __init__(self, requests: Requests, *, replicas: int = 1) -> None:
        self._requests = requests
        self._replicas = replicas

    async def ensure(self, topology: Topology) -> list[str]:
        """Create or extend what is missing; return a line for each change, none when all is there.

        Raises:
            TopologyMismatch: something exists with settings that would lose data.
            PermissionDenied: it is missing, and this user may not create it.
        """
        changes: list[str] = []
        fresh: set[str] = set()
        extended: list[StreamSpec] = []
        for stream in topology.streams:
            if stream.subjects:
                made = await self._ensure_stream(stream, fresh)
                if made and not made[0].startswith("created"):
                    extended.append(stream)
                changes += made
        for consumer in topology.consumers:
            changes += await self._ensure_consumer(consumer, fresh)
        for stream in extended:  # somebody may have written over it from what he had read before
            changes += await self._ensure_stream(stream, fresh)
        return changes

    async def _ensure_stream(self, spec: StreamSpec, fresh: set[str]) -> list[str]:
        found = await self._found(spec)
        if found is None:
            found = await self._create_stream(spec)
            if found is None:
                fresh.update(spec.subjects)
                return [f"created stream {spec.name}"]
        return await self._extend_stream(spec, found, fresh)

    async def _extend_stream(
        self, spec: StreamSpec, found: dict[str, Any], fresh: set[str]
    ) -> list[str]:
        """Add the subjects that lack, until they are there.

        An update writes the whole configuration, so another app that adds subjects of its own at
        the same moment may take ours away again.
        """
        changes: list[str] = []
        for attempt in range(_TRIES):
            _verify(spec, found)
            missing = [subject for subject in spec.subjects if subject not in found["subjects"]]
            if not missing:
                return changes
            merged = {**found, "subjects": [*found["subjects"], *missing]}
            await self._requests.api(f"STREAM.UPDATE.{spec.name}", merged)
            fresh.update(missing)
            changes = changes or [f"added {', '.join(missing)} to stream {spec.name}"]
            await asyncio.sleep(random.uniform(0, _PAUSE * attempt))  # noqa: S311  rivals spread out
            found = await self._found(spec) or found
        raise TopologyMismatch(
            f"stream {spec.name} does not keep the subjects {', '.join(spec.subjects)}: somebody "
            "else changes it at the same time; try again"
        )

    async def _found(self, spec: StreamSpec) -> dict[str, Any] | None:
        """A stream's configuration as it is, None when there is no such stream."""
        try:
            info = await self._requests.api(f"STREAM.INFO.{spec.name}")
        except StreamMissing:
            return None
        found: dict[str, Any] = info["config"]
        return found

    async def _create_stream(self, spec: StreamSpec) -> dict[str, Any] | None:
        """Make a stream; what there is instead when somebody else was faster."""
        config: dict[str, Any] = {
            # A full block of JSON shrinks to a third on disk, once, and costs nothing until then.
            "compression": "s2",
            "name": spec.name,
            "subjects": list(spec.subjects),
            "storage": "file",
            "num_replicas": self._replicas,
            **spec.config,
        }
        try:
            await self._requests.api(f"STREAM.CREATE.{spec.name}", config, timeout=10)
        except BusError as why:
            found = await self._found(spec)
            if found is None:
                raise _not_made(f"stream {spec.name}", why) from None
            return found
        return None

    async def _ensure_consumer(self, spec: ConsumerSpec, fresh: set[str]) -> list[str]:
        name = f"{spec.stream}.{spec.name}"
        try:
            info = await self._requests.api(f"CONSUMER.INFO.{name}")
        except BusError as error:
            if error.code != _NO_CONSUMER:
                raise
        else:
            found = info["config"].get("filter_subject")
            if found != spec.filter:
                raise TopologyMismatch(
                    f"consumer {spec.name!r} of stream {spec.stream} reads {found!r}, not "
                    f"{spec.filter!r}: two apps share a name, or the subject was changed; "
                    "rename one, or delete the consumer once nothing is pending on it"
                )
            return []
        config = {
            "durable_name": spec.name,
            "name": spec.name,
            "filter_subject": spec.filter,
            "ack_policy": "explicit",
            "ack_wait": int(spec.ack_wait * _NANOS),
            "max_ack_pending": spec.max_ack_pending,
            "max_deliver": -1,
            "deliver_policy": "new" if spec.only_new and spec.filter not in fresh else "all",
        }
        body = {"stream_name": spec.stream, "config": config}
        try:
            await self._requests.api(f"CONSUMER.CREATE.{name}.{spec.filter}", body)
        except BusError as why:
            # Another worker may have been first; then its consumer is as good as ours.
            try:
                await self._requests.api(f"CONSUMER.INFO.{name}")
            except BusError:
                raise _not_made(f"consumer {spec.name} of stream {spec.stream}", why) from None
            return []
        return [f"created consumer {spec.name} on {spec.stream}"]


def _not_made(what: str, why: BusError) -> BusError:
    if isinstance(why, PermissionDenied):
        return PermissionDenied(
            f"{what} does not exist, and this user may not create it: "
            "run `layby provision APP` as a user who may",
            subject=why.subject,
        )
    hint = (
        ": another stream has one of its subjects; rename one of the two"
        if why.code == _OVERLAP
        else ""
    )
    return TopologyMismatch(f"{what} cannot be created: {why}{hint}", code=why.code)


def _verify(spec: StreamSpec, found: dict[str, Any]) -> None:
    """Refuse settings under which promises would not hold; sizes and ages are the owner's."""
    if spec.exact and set(found["subjects"]) != set(spec.subjects):
        raise _other_share(spec, found["subjects"])
    for key in (
        "retention",
        "allow_rollup_hdrs",
        "allow_msg_schedules",
        "discard",
        "allow_msg_ttl",
    ):
        wanted = spec.config.get(key, {"retention": "limits", "discard": "old"}.get(key, False))
        if found.get(key, False) != wanted:
            raise TopologyMismatch(
                f"stream {spec.name} has {key} = {found.get(key, False)!r}, and Layby needs "
                f"{wanted!r}: it was made by somebody else; rename it or recreate it empty"
            )
    if not found.get("allow_direct", False):
        raise TopologyMismatch(
            f"stream {spec.name} does not allow direct get, which Layby reads with: "
            f"nats stream edit {spec.name} --allow-direct"
        )


def _other_share(spec: StreamSpec, held: list[str]) -> TopologyMismatch:
    there = log.count_of(held) if spec.name == log.STREAM else 0
    if not there:
        return TopologyMismatch(
            f"stream {spec.name} holds {', '.join(held)}, and Layby needs it to hold "
            f"{', '.join(spec.subjects)}: it was made or changed by somebody else; put that right, "
            "or remove it if it is empty"
        )
    asked = next(count for count in log.COUNTS if log.shares(count)[spec.name] == spec.subjects)
    return TopologyMismatch(
        f"the logs of runs are in {_streams(there)} here ({', '.join(log.shares(there))}), and the "
        f"app asks for {_streams(asked)}. The number is fixed once an account is provisioned: "
        f"declare App(log_streams={there}), or give the app an account of its own. Where no run is "
        "needed any more, stop all workers, remove those streams, and provision again"
    )


def _streams(count: int) -> str:
    return f"{count} stream{'s' if count > 1 else ''}"
