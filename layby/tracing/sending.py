"""The span of an event that a client sends, which the runs that it starts continue."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from ..runtime import tracing
from .provider import provider

_CLIENT = "layby"
"""What a process without a worker is called, unless `OTEL_SERVICE_NAME` says otherwise."""


@contextmanager
def sending(subject: str) -> Generator[Mapping[str, str]]:
    """The headers for an event that is sent within the block; none if nobody wants traces."""
    found = provider(_CLIENT)
    if found is None:
        yield {}
        return
    from .tracer import SpanTracer  # noqa: PLC0415  it loads OpenTelemetry

    with SpanTracer(found, {}).work("send", subject):
        yield tracing.headers()
