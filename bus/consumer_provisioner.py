"""Creates or verifies the consumers that a worker needs."""

from __future__ import annotations

from typing import Any

from .errors import BusError, PermissionDenied, TopologyMismatch
from .names import Names
from .ownership import consumer_mark, is_marked, is_of_app
from .patience import PatientApi
from .specs import Begin, ConsumerSpec, filters_in
from .verification import ends_server, not_made, reads_other

_NANOS = 1_000_000_000
_NO_CONSUMER = 10014


class ConsumerProvisioner:
    """Creates what is missing and verifies what exists."""

    def __init__(self, requests: PatientApi, names: Names, begin: Begin | None) -> None:
        """`begin`: where new consumers begin in a takeover; None if this is not a takeover."""
        self._requests = requests
        self._names = names
        self._begin = begin

    async def ensure(self, spec: ConsumerSpec, app: str, fresh: set[str]) -> list[str]:
        """Create or verify a consumer of an app; return a line for each change.

        `fresh`: the subjects that streams did not hold before.

        Raises:
            TopologyMismatch: it exists and reads other subjects, or belongs to somebody else.
            PermissionDenied: it must be changed, and this user may not.
        """
        name = f"{spec.stream}.{spec.name}"
        try:
            info = await self._requests.api(f"CONSUMER.INFO.{name}")
        except BusError as error:
            if error.code != _NO_CONSUMER:
                raise
        else:
            if set(filters_in(info["config"])) != set(spec.filters):
                ours = is_of_app(info["config"], self._names, app)
                raise reads_other(spec, info["config"], is_ours=ours)
            if spec.guest and not is_marked(info["config"], self._names):
                raise TopologyMismatch(
                    f"consumer {spec.name!r} of stream {spec.stream} was not created by this app: "
                    "rename the workflow, or give the app another prefix"
                )
            if ends_server(info["config"]):
                return await self._give_bodies(spec, info["config"])
            return []
        config = {
            "durable_name": spec.name,
            "name": spec.name,
            **spec.filter_config,
            "ack_policy": "explicit",
            "ack_wait": int(spec.ack_wait * _NANOS),
            "max_ack_pending": spec.max_ack_pending,
            "max_deliver": -1,
            "metadata": consumer_mark(self._names, app if spec.own else ""),
            **self._first_delivered(spec, fresh),
        }
        if spec.lookahead:
            config["ack_policy"] = "none"
            del config["ack_wait"], config["max_ack_pending"]
        body = {"stream_name": spec.stream, "config": config}
        try:
            await self._requests.api(spec.create, body)
        except BusError as why:
            # Another worker may have created it first.
            try:
                await self._requests.api(f"CONSUMER.INFO.{name}")
            except BusError:
                raise not_made(f"consumer {spec.name} of stream {spec.stream}", why) from None
            return []
        return [f"created consumer {spec.name} on {spec.stream}"]

    def _first_delivered(self, spec: ConsumerSpec, fresh: set[str]) -> dict[str, Any]:
        """Where a new consumer begins."""
        if self._begin is not None:
            return self._begin.first(spec)
        is_late = spec.only_new and fresh.isdisjoint(spec.filters)
        return {"deliver_policy": "new" if is_late else "all"}

    async def _give_bodies(self, spec: ConsumerSpec, found: dict[str, Any]) -> list[str]:
        """Change a headers-only consumer that an earlier Layby created."""
        body = {"stream_name": spec.stream, "config": {**found, "headers_only": False}}
        try:
            await self._requests.api(spec.create, body)
        except PermissionDenied as why:
            raise PermissionDenied(
                f"consumer {spec.name} of stream {spec.stream} delivers headers only, with which "
                "an answer can end nats-server, and this user may not change it: run "
                "`layby provision APP` as a user who may",
                subject=why.subject,
            ) from None
        return [f"consumer {spec.name} on {spec.stream} now delivers bodies too"]
