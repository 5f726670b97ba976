"""Two servers on loopback, joined by a leaf node, with a JetStream domain each."""

from __future__ import annotations

from pathlib import Path

from layby.bus.server import EmbeddedServer
from tests.scraping import free_port

FIRST, SECOND = "berlin", "paris"
_DOMAIN = """
server_name: {domain}
jetstream {{ store_dir: "{folder}", domain: {domain} }}
leafnodes {{ {leaf} }}
"""


def first_and_standby(folder: Path) -> tuple[EmbeddedServer, EmbeddedServer]:
    """A server, and one that connects to it as a leaf node; both have to be started."""
    port = free_port()
    return (
        _server(folder / FIRST, FIRST, f"host: 127.0.0.1, port: {port}"),
        _server(folder / SECOND, SECOND, f'remotes: [{{ url: "nats://127.0.0.1:{port}" }}]'),
    )


def _server(folder: Path, domain: str, leaf: str) -> EmbeddedServer:
    return EmbeddedServer(folder, extra=_DOMAIN.format(domain=domain, folder=folder, leaf=leaf))
