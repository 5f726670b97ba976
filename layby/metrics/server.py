"""The port for Prometheus and for probes, served by threads: they answer while the loop is busy."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from ..bus.errors import LaybyError
from .probe import Probe

LOOPBACK: Final = "127.0.0.1"
_PATIENCE: Final = 5.0
"""Seconds that a client may take for one read or write."""
_LONGEST: Final = 15.0
"""Seconds after which a connection is closed, whatever it does."""
_MOST: Final = 32
"""Connections at a time."""
_TEXT: Final = "text/plain; charset=utf-8"


class MetricsPortTaken(LaybyError):
    """The port for metrics cannot be used."""


class MetricsServer(ThreadingHTTPServer):
    """Serves `/metrics`, `/healthz` and `/readyz`, without a login."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, host: str, port: int, registry: CollectorRegistry, probe: Probe) -> None:
        self.registry: Final = registry
        self.probe: Final = probe
        self.is_private: Final = _is_loopback(host)
        """Whether only this machine reaches it."""
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._since: dict[Any, float] = {}
        self._guard = threading.Lock()
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise MetricsPortTaken(
                f"cannot serve metrics on {host}:{port} ({reason}): name another port with "
                "--metrics-port, or another address with --metrics-host"
            ) from None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server_address[1])

    def server_bind(self) -> None:
        """Bind without asking a name server for the machine's name, as HTTPServer would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Refuse a connection if there are too many."""
        del client_address
        with self._guard:
            if len(self._since) >= _MOST:
                return False
            self._since[request] = time.monotonic()
        return True

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._guard:
            self._since.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut off the connections that take too long."""
        now = time.monotonic()
        with self._guard:
            slow = [request for request, at in self._since.items() if now - at > _LONGEST]
        for request in slow:
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up."""


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    server: MetricsServer  # pyright: ignore[reportIncompatibleVariableOverride]
    timeout = _PATIENCE
    server_version = "layby"
    sys_version = ""
    error_message_format = "%(code)d %(message)s\n"
    error_content_type = _TEXT

    def do_GET(self) -> None:
        """Answer."""
        path = urlsplit(self.path).path
        if self.server.is_private and not _names_loopback(self.headers.get("Host", "")):
            self._say(403, "Ask for localhost: a page of another site may have led here.")
        elif path == "/metrics":
            self._metrics()
        elif path == "/healthz":
            self._probe([self.server.probe.why_dead()])
        elif path == "/readyz":
            self._probe(self.server.probe.why_not_ready())
        else:
            self._say(404, "There are /metrics, /healthz and /readyz.")

    def do_HEAD(self) -> None:
        """Answer without the body."""
        self.do_GET()

    def _metrics(self) -> None:
        encode, kind = choose_encoder(self.headers.get("Accept", ""))
        self._send(200, kind, encode(self.server.registry))

    def _probe(self, why_not_ready: list[str]) -> None:
        found = [each for each in why_not_ready if each]
        self._say(503 if found else 200, "\n".join(found) or "ok")

    def _say(self, code: int, text: str) -> None:
        self._send(code, _TEXT, f"{text}\n".encode())

    def _send(self, code: int, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        """Log no requests."""


@contextlib.contextmanager
def serving(
    host: str, port: int, registry: CollectorRegistry, probe: Probe
) -> Generator[MetricsServer]:
    """A server that answers while the block is open; port 0 is a free one.

    Raises:
        MetricsPortTaken: another program listens there, or the address is not this machine's.
    """
    with MetricsServer(host, port, registry, probe) as server:
        thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _names_loopback(header: str) -> bool:
    """Whether a header `Host` names this machine; a client without one is no browser."""
    try:
        return not header or _is_loopback(urlsplit(f"//{header}").hostname or "")
    except ValueError:
        return False
