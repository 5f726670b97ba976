"""A PostgreSQL of the benchmark's own, with its stock settings: fsync and synchronous_commit on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .environment import Environment, Unavailable, free_ports

_DEBIAN = Path("/usr/lib/postgresql")


async def postgres(env: Environment) -> tuple[str, int]:
    """Start one; return its URL and its process id. Raises Unavailable."""
    programs = _programs()
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    data = env.folder / "postgres"
    data.mkdir()
    if user:
        shutil.chown(data, user)
    await env.command(str(programs / "initdb"), "-D", str(data), "-U", "bench", user=user)
    (port,) = free_ports(1)
    settings = ("-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={data}")
    words = (str(programs / "postgres"), "-D", str(data), "-p", str(port), *settings)
    pid = env.start("postgres.server", *words, user=user)
    await env.ready("postgres.server", port)
    return f"postgresql://bench@127.0.0.1:{port}/postgres", pid


def _programs() -> Path:
    """Where initdb is: Debian keeps it out of the path."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    versions = sorted(_DEBIAN.glob("*/bin/initdb"))
    if not versions:
        raise Unavailable("there is no PostgreSQL (Debian: apt-get install postgresql)")
    return versions[-1].parent
