"""Creates or verifies the streams and consumers that a worker needs."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from .consumer_provisioner import ConsumerProvisioner
from .errors import BusError, PermissionDenied, StreamMissing, TopologyMismatch
from .group_commit import is_on
from .ownership import (
    check_source,
    mark,
    not_created_by_layby,
    note,
    noted_for,
)
from .patience import PatientApi
from .pruning import Prune, Pruning
from .requests import Requests
from .specs import BATCHES, Begin, StreamSpec, Topology
from .verification import (
    check_ready,
    examine,
    is_own,
    left_behind,
    not_made,
    taken,
)

_MIB = 1024 * 1024
_SMALLER = (1, 4, 16, 64)
"""Divisors of the limits of a new stream, tried in turn while the server has no room for it."""
_NO_ROOM = frozenset({10005, 10023, 10047})
"""No suitable peers, insufficient resources, insufficient storage."""
_TRIES = 8
"""Attempts to add a stream's subjects that another client keeps removing."""
_PAUSE = 0.05
"""Seconds by which the pause between attempts grows each time, at most."""


class Provisioner:
    """Creates what is missing and verifies what exists."""

    def __init__(
        self,
        requests: Requests,
        *,
        replicas: int | None = None,
        limits: bool = False,
        prune: Prune | None = None,
        begin: Begin | None = None,
    ) -> None:
        """`replicas` is how many copies each stream must have.

        None: one for a new stream, and as many as an existing one has. With `limits`, existing
        streams without byte limits get those of new ones. `prune`: what to do with what the app no
        longer declares; None: nothing. `begin`: where new consumers begin in a
        takeover; None if this is not a takeover.
        """
        self._begin = begin
        self._limits = limits
        self._pruning = Pruning(requests, prune)
        self._app = ""
        self._may_update = True
        """Whether this user may change streams, as far as is known."""
        self.pruned: list[str] = []
        """The lines about what the app no longer declares."""
        self._requests = PatientApi(requests)
        self._names = requests.names
        self._consumers = ConsumerProvisioner(self._requests, self._names, begin)
        self._replicas = replicas

    async def ensure(self, topology: Topology) -> list[str]:
        """Create or extend what is missing; return a line for each change.

        If anything would be refused, nothing is changed; a stream of somebody else never is.

        Raises:
            TopologyMismatch: something exists with settings that would lose data, or belongs to
                somebody else.
            PermissionDenied: something is missing, and this user may not create it.
        """
        await self._check(topology)
        self._app = topology.app
        self.pruned = await self._pruning.consumers(topology)
        changes = list(self.pruned)
        fresh: set[str] = set()
        extended: list[StreamSpec] = []
        for stream in topology.streams:
            if stream.subjects:
                made = await self._ensure_stream(stream, fresh)
                if made and not made[0].startswith("created"):
                    extended.append(stream)
                changes += made
        for consumer in topology.consumers:
            changes += await self._consumers.ensure(consumer, topology.app, fresh)
        for stream in extended:  # another client may have overwritten it with an older version
            changes += await self._ensure_stream(stream, fresh)
        self.pruned += (left := await self._pruning.subjects(topology))
        return [*changes, *left]

    async def _check(self, topology: Topology) -> None:
        """Refuse whatever has to be refused, before anything is changed."""
        needed: dict[str, StreamSpec] = {}
        for spec in topology.streams:
            found = await self._found(spec.name)
            if found is not None:
                self._examine(spec, found)
            held: list[str] = found["subjects"] if found is not None else []
            needed |= {subject: spec for subject in spec.subjects if subject not in held}
        for source in topology.sources:
            found = await self._found(source.stream)
            if found is None:
                raise TopologyMismatch(
                    f"events on {source.subject!r} are to be read from stream {source.stream}, "
                    "which does not exist: create it, or correct its name"
                )
            check_source(source, found)
        own = {spec.name for spec in topology.streams}
        for subject, spec in needed.items():
            for name in await self._holders(subject):
                if name not in own:
                    raise taken(subject, spec, name, self._names)
                if name == spec.name and await self._found(name) is None:
                    raise left_behind(name)

    def _examine(self, spec: StreamSpec, found: dict[str, Any]) -> None:
        """Refuse a stream that is not ready, or would break promises. Raises TopologyMismatch."""
        if self._begin is None:
            check_ready(spec.name, found)
        examine(spec, found, self._names)

    async def _holders(self, subject: str) -> list[str]:
        """The streams that have a subject; none if this user may not ask."""
        try:
            reply = await self._requests.api("STREAM.NAMES", {"subject": subject})
        except PermissionDenied:
            return []
        return list(reply.get("streams") or ())

    async def _ensure_stream(self, spec: StreamSpec, fresh: set[str]) -> list[str]:
        found = await self._found(spec.name)
        if found is None:
            found = await self._create_stream(spec)
            if found is None:
                fresh.update(spec.subjects)
                return [f"created stream {spec.name}"]
        changes = await self._extend_stream(spec, found, fresh)
        changes += await self._allow_batches(spec, found)
        return [*changes, *await self._set_limits(spec), *await self._set_replicas(spec)]

    async def _allow_batches(self, spec: StreamSpec, found: dict[str, Any]) -> list[str]:
        """Let an existing stream take batches, if this user may change it."""
        wanted = self._takes_batches(spec, found["num_replicas"]) and self._may_update
        if not wanted or found.get(BATCHES) or not is_own(spec, found, self._names):
            return []
        found = await self._found(spec.name) or found
        try:
            await self._requests.api(f"STREAM.UPDATE.{spec.name}", {**found, BATCHES: True})
        except PermissionDenied:
            self._may_update = False  # a worker: its user need not be refused for each stream
            return []
        except BusError:
            return []  # it works without them
        return [f"stream {spec.name} now takes batches"]

    def _takes_batches(self, spec: StreamSpec, copies: int) -> bool:
        asked_for = spec.outside and is_on() and max(copies, self._replicas or 1) == 1
        return asked_for or bool(spec.config.get(BATCHES))

    async def _set_limits(self, spec: StreamSpec) -> list[str]:
        """Limit an existing stream that has no limit. Raises TopologyMismatch."""
        found = await self._found(spec.name) if self._limits and spec.limits else None
        if found is None or found.get("max_bytes", -1) > 0:
            return []
        if not is_own(spec, found, self._names):
            raise not_created_by_layby(spec.name, found)
        try:
            await self._requests.api(f"STREAM.UPDATE.{spec.name}", {**found, **spec.limits})
        except BusError as why:
            raise TopologyMismatch(
                f"stream {spec.name} cannot be limited to {_size(spec.limits)}: {why}; choose a "
                f"limit yourself: nats stream edit {spec.name} --max-bytes 1GB",
                code=why.code,
            ) from None
        return [f"stream {spec.name} now holds at most {_size(spec.limits)}"]

    async def _set_replicas(self, spec: StreamSpec) -> list[str]:
        """Give an existing stream the requested number of copies. Raises TopologyMismatch."""
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
            if spec.outside:
                body[BATCHES] = self._takes_batches(spec, wanted) and bool(found.get(BATCHES))
            await self._requests.api(f"STREAM.UPDATE.{spec.name}", body, timeout=10)
        except BusError as why:
            raise TopologyMismatch(
                f"stream {spec.name} keeps {_copies(held)} and cannot have {wanted}: {why}",
                code=why.code,
            ) from None
        return [f"stream {spec.name} now keeps {_copies(wanted)} instead of {held}"]

    async def _extend_stream(
        self, spec: StreamSpec, found: dict[str, Any], fresh: set[str]
    ) -> list[str]:
        """Add missing subjects until they are there.

        An update writes the whole configuration, so another app that adds subjects at the same
        moment may remove ours again.
        """
        changes: list[str] = []
        for attempt in range(_TRIES):
            self._examine(spec, found)
            missing = [subject for subject in spec.subjects if subject not in found["subjects"]]
            notes = self._notes(spec, found)
            if not (missing or notes):
                return changes
            held: dict[str, str] = found.get("metadata") or {}
            metadata = {**held, **mark(self._names), **notes}
            merged: dict[str, Any] = {
                **found,
                "subjects": [*found["subjects"], *missing],
                "metadata": metadata,
            }
            try:
                await self._requests.api(f"STREAM.UPDATE.{spec.name}", merged)
            except PermissionDenied:
                if missing:
                    raise
                return changes  # the note is not needed for a worker to run
            fresh.update(missing)
            if missing:
                changes = changes or [f"added {', '.join(missing)} to stream {spec.name}"]
            await asyncio.sleep(random.uniform(0, _PAUSE * attempt))  # noqa: S311  rivals spread out
            found = await self._found(spec.name) or found
        raise TopologyMismatch(
            f"stream {spec.name} does not keep the subjects {', '.join(spec.subjects)}: another "
            "client changes it at the same time; try again"
        )

    def _notes(self, spec: StreamSpec, found: dict[str, Any]) -> dict[str, str]:
        """The note of this app's subjects, if the stream lacks it; nothing is removed here."""
        known = noted_for(found, self._app)
        if not spec.noted or set(spec.subjects) <= set(known):
            return {}
        if found and not is_own(spec, found, self._names):
            return {}
        return note(self._app, [*known, *spec.subjects])

    async def _found(self, stream: str) -> dict[str, Any] | None:
        """A stream's current configuration; None when there is no such stream."""
        try:
            info = await self._requests.api(f"STREAM.INFO.{stream}")
        except StreamMissing:
            return None
        return dict(info["config"])

    async def _create_stream(self, spec: StreamSpec) -> dict[str, Any] | None:
        """Create a stream; return its configuration if another client was faster."""
        config: dict[str, Any] = {
            # Compression shrinks a full block of JSON to a third, and costs nothing until then.
            "compression": "s2",
            "name": spec.name,
            "subjects": list(spec.subjects),
            "storage": "file",
            "num_replicas": self._replicas or 1,
            "metadata": mark(self._names) | self._notes(spec, {}),
            **spec.config,
        }
        if self._takes_batches(spec, config["num_replicas"]):
            config[BATCHES] = True
        for limits in (*_smaller(spec.limits), {}):
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


def _smaller(limits: dict[str, Any]) -> list[dict[str, Any]]:
    """The limits, and smaller ones for a server with little room, which reserves `max_bytes`."""
    size = limits.get("max_bytes", 0)
    return [{**limits, "max_bytes": size // part} for part in _SMALLER] if size else []


def _size(limits: dict[str, Any]) -> str:
    return f"{limits['max_bytes'] // _MIB:,} MiB"


def _copies(count: int) -> str:
    return f"{count} cop{'y' if count == 1 else 'ies'}"
