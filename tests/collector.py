"""A server that takes spans over OTLP/HTTP and decodes the protobuf, as a backend does."""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.fix_layby import Desk


@dataclass(frozen=True)
class Event:
    """Something that happened in a span."""

    name: str
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Span:
    """A span as it was received."""

    name: str
    trace: str
    id: str
    parent: str
    kind: int
    attributes: dict[str, Any]
    events: list[Event]
    links: list[tuple[str, str, dict[str, Any]]]
    """Traces and ids of other spans, with the attributes of the links."""
    status: int
    says: str
    """The description of its status."""
    start: int
    end: int
    resource: dict[str, Any]
    scope: str
    state: str

    def event(self, name: str) -> Event:
        """Its only event of that name."""
        [found] = [each for each in self.events if each.name == name]
        return found

    @property
    def segment(self) -> str:
        return str(self.attributes.get("layby.segment", ""))


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    found = getattr(value, kind) if kind else None
    return [_value(each) for each in found.values] if kind == "array_value" and found else found


def _facts(attributes: Iterable[Any]) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def decoded(body: bytes) -> list[Span]:
    """The spans in a request."""
    return [
        Span(
            name=span.name,
            trace=span.trace_id.hex(),
            id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            kind=span.kind,
            attributes=_facts(span.attributes),
            events=[Event(each.name, _facts(each.attributes)) for each in span.events],
            links=[
                (each.trace_id.hex(), each.span_id.hex(), _facts(each.attributes))
                for each in span.links
            ],
            status=span.status.code,
            says=span.status.message,
            start=span.start_time_unix_nano,
            end=span.end_time_unix_nano,
            resource=_facts(resource.resource.attributes),
            scope=scope.scope.name,
            state=span.trace_state,
        )
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


@dataclass
class Collector:
    """What was received so far."""

    url: str = ""
    spans: list[Span] = field(default_factory=list[Span])
    requests: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    """The headers of each request."""
    raw: bytes = b""
    hangs: threading.Event = field(default_factory=threading.Event)
    """While it is set, requests are taken and not answered."""
    ended: threading.Event = field(default_factory=threading.Event)
    waiting: int = 0
    """Requests that were not answered."""

    @property
    def environ(self) -> dict[str, str]:
        """The variables that send the spans of a process here, soon."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}

    def hold(self) -> None:
        """Keep a request waiting while it hangs."""
        while self.hangs.is_set():
            self.waiting += 1
            self.ended.wait(0.05)

    def take(self, headers: dict[str, str], body: bytes) -> None:
        """Take a request."""
        plain = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        self.requests.append(headers)
        self.raw += plain
        self.spans += decoded(plain)

    def named(self, name: str) -> list[Span]:
        """The spans of that name, in the order in which they began."""
        return sorted((each for each in self.spans if each.name == name), key=lambda s: s.start)

    def seen(self, holds: Callable[[list[Span]], bool]) -> list[Span]:
        """All spans, once this holds of them."""

        def look() -> list[Span] | None:
            found = list(self.spans)
            return found if holds(found) else None

        found: list[Span] = Desk.sooner_or_later(look)
        return found

    def seen_named(self, name: str, count: int = 1) -> list[Span]:
        """The spans of that name, once there are so many."""
        self.seen(lambda spans: sum(each.name == name for each in spans) >= count)
        return self.named(name)


@contextlib.contextmanager
def collecting() -> Generator[Collector]:
    """A collector that runs while the block is open."""
    made = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.hold()
            if self.path == "/v1/traces":
                made.take({k.lower(): v for k, v in self.headers.items()}, body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
