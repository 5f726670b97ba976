"""Where this process sends its spans: what the app has set up, or what `OTEL_*` variables ask for.

Loading it loads nothing of OpenTelemetry: most processes are not traced.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final

from ..bus.install import installing
from ..runtime import tracing
from ..runtime.redaction import redacted

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider as SdkProvider
    from opentelemetry.trace import TracerProvider

log = logging.getLogger("layby.tracing")

FLUSH_WITHIN: Final = 3.0
"""Seconds that a process that ends waits for its last spans to be sent."""
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_EXPORTERS: Final = {
    "http/protobuf": "otlp_proto_http",
    "grpc": "otlp_proto_grpc",
}
"""The entry points of exporters, by the protocol of OTLP."""


class NoExporter(Exception):
    """The exporter that is asked for is not installed, or unknown."""


class _Ours:
    """The provider of this process that was set up here; it lives as long as the process."""

    def __init__(self) -> None:
        self.provider: SdkProvider | None = None
        self.has_failed = False


_ours: Final = _Ours()


def is_wanted(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether variables ask for spans to be sent."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = _names(environ)
    if "none" in exporters:
        return False
    return bool(exporters) or any(environ.get(name, "").strip() for name in _ENDPOINTS)


def provider(service: str) -> TracerProvider | None:
    """The provider of spans of this process; None: nobody wants any.

    Args:
        service: What the process is called unless `OTEL_SERVICE_NAME` says otherwise.
    """
    found = _of_app()
    if found is None and is_wanted():
        found = _started(service)
    if found is not None:
        from .place import ids, outgoing  # noqa: PLC0415  it loads OpenTelemetry

        tracing.use(outgoing, ids)
    return found


def _of_app() -> TracerProvider | None:
    """The provider that the app, or this module, has set up for the whole process."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry.trace import (  # noqa: PLC0415
        NoOpTracerProvider,
        ProxyTracerProvider,
        get_tracer_provider,
    )

    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    found = get_tracer_provider()
    return None if isinstance(found, ProxyTracerProvider | NoOpTracerProvider) else found


def _started(service: str) -> TracerProvider | None:
    if _ours.has_failed:
        return None
    try:
        _ours.provider = _made(service, os.environ)
    except ImportError:
        _give_up(f"OTEL_* variables ask for traces: {installing('otel')}")
    except Exception as error:  # noqa: BLE001  the process works without traces
        _give_up(redacted(str(error)))
    return _ours.provider


def _give_up(advice: str) -> None:
    _ours.has_failed = True
    log.warning("tracing.unavailable advice=%s", advice)


def _made(service: str, environ: Mapping[str, str]) -> SdkProvider:
    from opentelemetry import trace  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    named = "OTEL_SERVICE_NAME" in environ or "service.name=" in environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    resource = Resource.create({} if named else {"service.name": service})
    # The end of the process is bounded here; at exit the SDK would wait for a server that hangs.
    made = TracerProvider(resource=resource, shutdown_on_exit=False)
    for exporter in _exporters(environ):
        made.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(made)
    return made


def _names(environ: Mapping[str, str]) -> list[str]:
    names = environ.get("OTEL_TRACES_EXPORTER", "").split(",")
    return [name.strip() for name in names if name.strip()]


def _exporters(environ: Mapping[str, str]) -> list[Any]:
    """The exporters that are asked for. Raises NoExporter."""
    protocol = next(filter(None, (environ.get(name, "").strip() for name in _PROTOCOLS)), "")
    made: list[Any] = []
    for name in _names(environ) or ["otlp"]:
        wanted = name
        if name == "otlp":
            wanted = _EXPORTERS.get(protocol or "http/protobuf", "")
        found = entry_points(group="opentelemetry_traces_exporter", name=wanted)
        if not found:
            raise NoExporter(
                f"no exporter of traces for {f'{name} over {protocol}' if protocol else name}: "
                f"install its package, or use http/protobuf, which comes with {installing('otel')}"
            )
        made.append(next(iter(found)).load()())
    return made


async def flush(within: float = FLUSH_WITHIN) -> None:
    """Send what was not sent yet; a server that does not take it is waited for `within` seconds."""
    ours = _ours.provider
    if ours is None:
        return
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def send() -> None:
        try:
            ours.force_flush()
        finally:
            with suppress(RuntimeError):  # nobody waits any longer: the loop is closed
                loop.call_soon_threadsafe(done.set)

    # A thread of its own: the loop's executor would be waited for when the process ends.
    threading.Thread(target=send, name="last spans", daemon=True).start()
    try:
        async with asyncio.timeout(within):
            await done.wait()
    except TimeoutError:
        log.warning("tracing.spans_lost seconds=%s", within)
