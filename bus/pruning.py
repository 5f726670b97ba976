"""Removes what an app no longer declares: subjects of events, their consumers, those of channels.

All apps of a prefix share a stream of events, which notes the subjects declared by each app. A
subject is removed only if this app had declared it, and no other app declares or reads it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from enum import Enum
from typing import Any, Final

from .errors import BusError, PermissionDenied, StreamMissing, TopologyMismatch
from .names import EVENTS
from .ownership import is_of_app, note, noted, noted_for
from .patience import PatientApi
from .requests import Requests
from .specs import Topology, filters_in

QUESTIONS: Final = "QUESTIONS"
"""Layby's name for the stream that the consumers of channels read."""
_GONE: Final = frozenset({10014, 10059})
"""Consumer not found, stream not found."""


class Prune(Enum):
    """What to do with what is no longer declared."""

    REPORT = "report"
    """Keep it and report it: workers of an earlier release may need it."""
    IDLE = "idle"
    """Remove it, unless unhandled events wait there."""
    ALL = "all"
    """Remove it together with waiting events: for a developer's own server."""


class Pruning:
    """Finds what is no longer needed, and removes it."""

    def __init__(self, requests: Requests, mode: Prune | None) -> None:
        """None: do nothing."""
        self._requests = PatientApi(requests)
        self._names = requests.names
        self._mode = mode

    async def consumers(self, topology: Topology) -> list[str]:
        """Remove the app's consumers of events, and of channels, that it no longer declares.

        Returns a line for each change.

        A consumer that has to read another subject is removed too, and then created again.

        Raises:
            TopologyMismatch: unhandled events wait there.
        """
        changes: list[str] = []
        if not topology.app or self._mode in {None, Prune.REPORT}:
            return changes
        for stream in (*self._streams(topology), self._names.stream(QUESTIONS)):
            infos = [each async for each in self._all(stream)]
            left = [each for each in infos if self._is_left_over(topology, stream, each)]
            changes += [await self._remove(stream, str(each["name"]), each) for each in left]
        return changes

    def _is_left_over(self, topology: Topology, stream: str, info: dict[str, Any]) -> bool:
        """Whether this app created a consumer and no longer reads it."""
        if not is_of_app(info["config"], self._names, topology.app):
            return False
        reads = (stream, info["name"], frozenset(filters_in(info["config"])))
        declared = {
            (each.stream, each.name, frozenset(each.filters)) for each in topology.consumers
        }
        return reads not in declared

    async def _remove(self, stream: str, name: str, info: dict[str, Any]) -> str:
        reads, waiting = ", ".join(filters_in(info["config"])), _waiting(info)
        if waiting and self._mode is Prune.IDLE:
            raise TopologyMismatch(
                f"consumer {name!r} of stream {stream} is no longer needed, but {waiting} "
                f"messages on {reads!r} wait there: let a worker of the previous release handle "
                "them first"
            )
        try:
            await self._requests.api(f"CONSUMER.DELETE.{stream}.{name}")
        except BusError as error:
            if error.code not in _GONE:
                raise
        left = f", with {waiting} unhandled messages" if waiting else ""
        return f"removed consumer {name} on {stream}, which read {reads}{left}"

    async def subjects(self, topology: Topology) -> list[str]:
        """Remove the subjects that no app declares any longer from the stream of events.

        Events on them stay in the stream. Returns a line for each change, or each possible change.
        """
        stream = self._names.stream(EVENTS)
        if self._mode is None:
            return []
        try:
            found = (await self._requests.api(f"STREAM.INFO.{stream}"))["config"]
        except StreamMissing:
            return []
        kept = [s for spec in topology.streams if spec.name == stream for s in spec.subjects]
        gone = set(noted_for(found, topology.app)) - set(kept)
        if not gone:
            return []
        try:
            gone -= await self._used(topology, stream, found)
        except PermissionDenied:
            if self._mode is not Prune.REPORT:
                raise
        held: list[str] = found["subjects"]
        left = [subject for subject in held if subject not in gone]
        shown = ", ".join(subject for subject in held if subject in gone)
        if self._mode is Prune.REPORT or not left:  # a stream needs at least one subject
            return [_still(stream, shown)] if shown else []
        metadata: dict[str, str] = {**found["metadata"], **note(topology.app, kept)}
        body = {**found, "subjects": left, "metadata": metadata}
        await self._requests.api(f"STREAM.UPDATE.{stream}", body)
        return [f"removed {shown} from stream {stream}"] if shown else []

    async def _used(self, topology: Topology, stream: str, found: dict[str, Any]) -> set[str]:
        """The subjects that other apps have declared, or that a consumer reads."""
        own = note(topology.app, ())
        used = {s for key, subjects in noted(found).items() if key not in own for s in subjects}
        return used | {
            subject
            async for info in self._all(stream)
            if not self._is_left_over(topology, stream, info)
            for subject in filters_in(info["config"])
        }

    def _streams(self, topology: Topology) -> list[str]:
        streams = [self._names.stream(EVENTS), *(source.stream for source in topology.sources)]
        return list(dict.fromkeys(streams))

    async def _all(self, stream: str) -> AsyncGenerator[dict[str, Any]]:
        offset = 0
        while True:
            try:
                page = await self._requests.api(f"CONSUMER.LIST.{stream}", {"offset": offset})
            except StreamMissing:
                return
            infos: list[dict[str, Any]] = page.get("consumers") or []
            for info in infos:
                yield info
            offset += len(infos)
            if not infos or offset >= int(page.get("total", 0)):
                return


def _still(stream: str, subjects: str) -> str:
    return (
        f"stream {stream} still keeps events on {subjects}, which the app no longer declares: run "
        "`layby provision APP --prune` once no worker of the previous release runs"
    )


def _waiting(info: dict[str, Any]) -> int:
    return int(info.get("num_pending", 0)) + int(info.get("num_ack_pending", 0))
