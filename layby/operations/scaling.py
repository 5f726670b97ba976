"""Tells KEDA which consumers wake the workers of an app, so that none runs while everybody waits.

KEDA takes the messages that a consumer has not delivered yet, and those delivered and not
acknowledged, for its lag. A parked run leaves neither on any consumer, and whatever wakes it, an
answer, an event or a timer, is a message on one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ..app import App
from ..commands import STREAM

_MONITORING_PORT: Final = 8222
_FAILURES: Final = 3


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A consumer whose messages wake workers.

    Attributes:
        account: The account of its stream.
        stream: Its stream.
        consumer: Its name.
    """

    account: str
    stream: str
    consumer: str


class Scaling(msgspec.Struct, frozen=True, kw_only=True):
    """How KEDA scales the workers of an app.

    Attributes:
        namespace: The namespace of the Deployment.
        deployment: The Deployment of the workers.
        endpoint: HOST:PORT of the server's monitoring; empty: of the service `nats` in the
            namespace.
        https: The monitoring speaks HTTPS.
        lag: Messages of one consumer for each worker.
        minimum: Workers while nothing waits.
        maximum: Workers at most.
        poll: Seconds between two looks.
        cooldown: Seconds without messages after which the last worker is stopped.
    """

    namespace: str = "layby"
    deployment: str = "layby-worker"
    endpoint: str = ""
    https: bool = False
    lag: int = 50
    minimum: int = 0
    maximum: int = 10
    poll: int = 5
    cooldown: int = 120

    @property
    def monitoring(self) -> str:
        """HOST:PORT of the server's monitoring."""
        return self.endpoint or f"nats.{self.namespace}.svc.cluster.local:{_MONITORING_PORT}"


def sources(app: App, *, account: str, trail: str, channels: bool = True) -> list[Source]:
    """The consumers that wake workers of `app`, in the order of its mailboxes.

    Args:
        app: The app.
        account: The account of its streams.
        trail: The account of the audit trail of commands.
        channels: False if `layby notify` shows questions on channels and workers do not.
    """
    audit = app.names.stream(STREAM)
    return [
        Source(account=trail if stream == audit else account, stream=stream, consumer=name)
        for stream, name in _consumers(app, channels=channels)
    ]


def scaled_object(scaling: Scaling, found: list[Source]) -> dict[str, Any]:
    """The ScaledObject for these consumers, as Kubernetes reads it."""
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": scaling.deployment, "namespace": scaling.namespace},
        "spec": {
            "scaleTargetRef": {"name": scaling.deployment},
            "minReplicaCount": scaling.minimum,
            "maxReplicaCount": scaling.maximum,
            "pollingInterval": scaling.poll,
            "cooldownPeriod": scaling.cooldown,
            # If KEDA cannot ask the server, nobody knows whether an answer waits.
            "fallback": {"failureThreshold": _FAILURES, "replicas": max(1, scaling.minimum)},
            "triggers": [_trigger(scaling, each) for each in found],
        },
    }


def chart_values(worker: str, found: list[Source]) -> dict[str, Any]:
    """The same consumers as values of the Helm chart, for the workers of this name."""
    return {"workers": {worker: {"scaling": {"consumers": msgspec.to_builtins(found)}}}}


def _consumers(app: App, *, channels: bool) -> Iterator[tuple[str, str]]:
    """The mailboxes. Not what workers read ahead in: nobody acknowledges it, so it looks busy.

    Where others send the cards, workers are still told when quiet hours end, and notice a card that
    nobody has sent.
    """
    for spec, duty in app.mailboxes():
        if channels or duty.kind != "cards":
            yield spec.stream, spec.name


def _trigger(scaling: Scaling, source: Source) -> dict[str, Any]:
    metadata = {
        "natsServerMonitoringEndpoint": scaling.monitoring,
        **({"useHttps": "true"} if scaling.https else {}),
        **msgspec.to_builtins(source),
        "lagThreshold": str(scaling.lag),
        "activationLagThreshold": "0",
    }
    return {"type": "nats-jetstream", "metadata": metadata}
