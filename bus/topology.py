"""What must exist in JetStream before a worker runs, and how it is made or verified."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from typing import Any

import msgspec

from . import log
from .errors import BusError, PermissionDenied, StreamMissing, TopologyMismatch
from .names import EVENTS, Names
from .ownership import check_source, is_marked, mark, stranger
from .requests import Requests
from .specs import ConsumerSpec, SourceSpec, StreamSpec, Topology
from .verification import examine, is_own, not_made, taken

_NANOS = 1_000_000_000
_PLAIN = Names()
_MIB = 1024 * 1024
_SMALLER = (1, 4, 16, 64)
"""What the limits of a new stream are divided by, in turn, while the server has no room for it."""
_NO_ROOM = frozenset({10005, 10023, 10047})
"""No peer has the storage, insufficient resources, insufficient storage."""
_DAY = 86_400
_NO_DUPLICATES = {"duplicate_window": 100_000_000}
"""As short as the server lets it be: or whoever knows the message id that somebody is going to use
could have their message taken for a duplicate, and dropped."""
_NO_CONSUMER = 10014
_TRIES = 8
"""Times that a stream's subjects are added before somebody else is blamed for removing them."""
_PAUSE = 0.05
"""Seconds, at most, by which each further try waits longer than the one before."""


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


def erasable(name: str, names: Names = _PLAIN) -> StreamSpec:
    """A bucket of which single messages can be removed, and written over on the disk."""
    spec = bucket(name, names)
    return msgspec.structs.replace(spec, config={**spec.config, "deny_delete": False})


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
    hardened = {"deny_delete": True, "deny_purge": True, "discard": "new", **_NO_DUPLICATES}
    return (
        StreamSpec(
            name=name(EVENTS),
            subjects=tuple(dict.fromkeys(triggers)),
            config={"max_age": 30 * _DAY * _NANOS, "allow_direct": True},
            # A full one refuses events with an error, and never drops one that was not read.
            limits={"max_bytes": 4096 * _MIB, "discard": "new"},
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
            # Every answer has a receipt, the unwanted ones too: the oldest go.
            limits={"max_bytes": 1024 * _MIB},
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
            limits={"max_bytes": 1024 * _MIB},
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
            # Whoever may send events may send bad ones: the oldest letters go.
            limits={"max_bytes": 512 * _MIB},
        ),
        StreamSpec(name=name("BLOBS"), subjects=(own("blob.>"),), config={"allow_direct": True}),
        bucket("parked", names),
        bucket("runs", names),
        bucket("questions", names),
        bucket("blocked", names),
        StreamSpec(
            name=name("AUDIT"),
            subjects=(own("layby.do.*.*"), own("layby.done.*.*")),
            # What people have commanded is kept for ever: no age, and nothing removes a message.
            config={**hardened, "max_msg_size": 64 * 1024, "allow_direct": True},
        ),
    )


class Provisioner:
    """Creates what is missing and verifies what is there."""

    def __init__(
        self, requests: Requests, *, replicas: int | None = None, limits: bool = False
    ) -> None:
        """`replicas` is how many copies each stream must have.

        None: one for a new stream, and whatever an existing one has. With `limits`, existing
        streams get the byte limits of new ones where they have none.
        """
        self._limits = limits
        self._requests = requests
        self._names = requests.names
        self._replicas = replicas

    async def ensure(self, topology: Topology) -> list[str]:
        """Create or extend what is missing; return a line for each change, none when all is there.

        Nothing is changed where something would be refused, and never a stream of somebody else.

        Raises:
            TopologyMismatch: something exists with settings that would lose data, or is somebody
                else's.
            PermissionDenied: it is missing, and this user may not create it.
        """
        await self._look(topology)
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

    async def _look(self, topology: Topology) -> None:
        """Refuse what will have to be refused, before anything is changed."""
        needed: dict[str, StreamSpec] = {}
        for spec in topology.streams:
            found = await self._found(spec.name)
            if found is not None:
                examine(spec, found, self._names)
            held: list[str] = found["subjects"] if found is not None else []
            needed |= {subject: spec for subject in spec.subjects if subject not in held}
        for source in topology.sources:
            found = await self._found(source.stream)
            if found is None:
                raise TopologyMismatch(
                    f"there is no stream {source.stream}, from which events on "
                    f"{source.subject!r} are to be read: create it, or correct its name"
                )
            check_source(source, found)
        own = {spec.name for spec in topology.streams}
        for subject, spec in needed.items():
            for name in await self._holders(subject):
                if name not in own:
                    raise taken(subject, spec, name, self._names)

    async def _holders(self, subject: str) -> list[str]:
        """The streams that have a subject; none where this user may not ask."""
        try:
            reply = await self._requests.api("STREAM.NAMES", {"subject": subject})
        except PermissionDenied:
            return []
        names: list[str] = reply.get("streams") or []
        return names

    async def _ensure_stream(self, spec: StreamSpec, fresh: set[str]) -> list[str]:
        found = await self._found(spec.name)
        if found is None:
            found = await self._create_stream(spec)
            if found is None:
                fresh.update(spec.subjects)
                return [f"created stream {spec.name}"]
        changes = await self._extend_stream(spec, found, fresh)
        return [*changes, *await self._set_limits(spec), *await self._set_replicas(spec)]

    async def _set_limits(self, spec: StreamSpec) -> list[str]:
        """Bound an existing stream that is not. Raises TopologyMismatch."""
        found = await self._found(spec.name) if self._limits and spec.limits else None
        if found is None or found.get("max_bytes", -1) > 0:
            return []
        if not is_own(spec, found, self._names):
            raise stranger(spec.name, found)
        try:
            await self._requests.api(f"STREAM.UPDATE.{spec.name}", {**found, **spec.limits})
        except BusError as why:
            raise TopologyMismatch(
                f"stream {spec.name} cannot be limited to {_size(spec.limits)}: {why}; choose a "
                f"limit yourself: nats stream edit {spec.name} --max-bytes 1GB",
                code=why.code,
            ) from None
        return [f"stream {spec.name} takes at most {_size(spec.limits)} now"]

    async def _set_replicas(self, spec: StreamSpec) -> list[str]:
        """Give an existing stream as many copies as were asked for. Raises TopologyMismatch."""
        found = await self._found(spec.name) if self._replicas else None
        if found is None or found["num_replicas"] == self._replicas:
            return []
        held, wanted = int(found["num_replicas"]), self._replicas or 1
        if not is_own(spec, found, self._names):
            raise TopologyMismatch(
                f"stream {spec.name} has {held} of the {wanted} copies, and was not created by "
                f"Layby, so it is not changed: nats stream edit {spec.name} --replicas {wanted}"
            )
        try:
            body = {**found, "num_replicas": wanted}
            await self._requests.api(f"STREAM.UPDATE.{spec.name}", body, timeout=10)
        except BusError as why:
            raise TopologyMismatch(
                f"stream {spec.name} keeps {_copies(held)} and cannot have {wanted}: {why}",
                code=why.code,
            ) from None
        return [f"stream {spec.name} keeps {_copies(wanted)} now, not {held}"]

    async def _extend_stream(
        self, spec: StreamSpec, found: dict[str, Any], fresh: set[str]
    ) -> list[str]:
        """Add the subjects that lack, until they are there.

        An update writes the whole configuration, so another app that adds subjects of its own at
        the same moment may take ours away again.
        """
        changes: list[str] = []
        for attempt in range(_TRIES):
            examine(spec, found, self._names)
            missing = [subject for subject in spec.subjects if subject not in found["subjects"]]
            if not missing:
                return changes
            held: dict[str, str] = found.get("metadata") or {}
            metadata = {**held, **mark(self._names)}
            merged: dict[str, Any] = {
                **found,
                "subjects": [*found["subjects"], *missing],
                "metadata": metadata,
            }
            await self._requests.api(f"STREAM.UPDATE.{spec.name}", merged)
            fresh.update(missing)
            changes = changes or [f"added {', '.join(missing)} to stream {spec.name}"]
            await asyncio.sleep(random.uniform(0, _PAUSE * attempt))  # noqa: S311  rivals spread out
            found = await self._found(spec.name) or found
        raise TopologyMismatch(
            f"stream {spec.name} does not keep the subjects {', '.join(spec.subjects)}: somebody "
            "else changes it at the same time; try again"
        )

    async def _found(self, stream: str) -> dict[str, Any] | None:
        """A stream's configuration as it is, None when there is no such stream."""
        try:
            info = await self._requests.api(f"STREAM.INFO.{stream}")
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
            "num_replicas": self._replicas or 1,
            "metadata": mark(self._names),
            **spec.config,
        }
        for limits in (*_ever_smaller(spec.limits), {}):
            try:
                body = {**config, **limits}
                await self._requests.api(f"STREAM.CREATE.{spec.name}", body, timeout=10)
            except BusError as why:
                found = await self._found(spec.name)
                if found is not None:
                    return found
                if not (limits and why.code in _NO_ROOM):
                    raise not_made(f"stream {spec.name}", why) from None
            else:
                return None
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
            if spec.guest and not is_marked(info["config"], self._names):
                raise TopologyMismatch(
                    f"consumer {spec.name!r} of stream {spec.stream} was not created by this app: "
                    "rename the workflow, or give the app another prefix"
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
            "metadata": mark(self._names),
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
                raise not_made(f"consumer {spec.name} of stream {spec.stream}", why) from None
            return []
        return [f"created consumer {spec.name} on {spec.stream}"]


def _ever_smaller(limits: dict[str, Any]) -> list[dict[str, Any]]:
    """Limits for servers of ever less room, which sets a stream's `max_bytes` aside for it."""
    size = limits.get("max_bytes", 0)
    return [{**limits, "max_bytes": size // part} for part in _SMALLER] if size else []


def _size(limits: dict[str, Any]) -> str:
    return f"{limits['max_bytes'] // _MIB:,} MiB"


def _copies(count: int) -> str:
    return f"{count} cop{'y' if count == 1 else 'ies'}"


__all__ = [
    "EVENTS",
    "ConsumerSpec",
    "Provisioner",
    "SourceSpec",
    "StreamSpec",
    "Topology",
    "bucket",
    "streams",
]
