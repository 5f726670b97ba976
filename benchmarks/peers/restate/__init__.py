"""Restate: its server from npm, a Python service behind hypercorn, the caller over HTTP.

Its defaults, WAL fsync on, but for the inactivity timeout: a parked invocation is suspended after
100 ms, or open streams would fill the invoker's limit of 1,000 and stop the parking.
"""

from __future__ import annotations

import json

from ...disk import held_up
from ...measure import Figure
from ...sizes import Sizes
from ..environment import Environment, figures, free_ports

_HERE = "benchmarks.peers.restate"
_SERVER = "@restatedev/restate-server"
_CONFIG = """\
base-dir = {folder}
node-name = "bench"
listen-mode = "tcp"
bind-ip = "127.0.0.1"
bind-port = {node}
disable-telemetry = true
[ingress]
bind-port = {ingress}
[admin]
bind-port = {admin}
[worker.invoker]
inactivity-timeout = "100ms"
"""


async def measure(workloads: list[str], sizes: Sizes) -> list[Figure]:
    """Run the workloads through the ingress. Raises Unavailable."""
    async with Environment.new("restate") as env:
        programs = await env.npm(_SERVER)
        await env.pip("restate-sdk", "hypercorn", "aiohttp")
        node, ingress, admin, service = free_ports(4)
        config = env.folder / "restate.toml"
        folder = json.dumps(str(env.folder / "data"))
        config.write_text(_CONFIG.format(folder=folder, node=node, ingress=ingress, admin=admin))
        server = env.start("restate", *held_up(str(programs / "restate-server"), "-c", str(config)))
        await env.ready("restate", ingress)
        await env.ready("restate", admin)
        bell = str(env.folder / "bell")
        worker = env.start(
            "service",
            *(env.python, "-m", "hypercorn", f"{_HERE}.service:app"),
            *("--bind", f"127.0.0.1:{service}"),
            environ={"BENCH_BELL": bell},
        )
        await env.ready("service", service)
        ports = (str(ingress), str(admin), str(service))
        found = await env.bench(
            f"{_HERE}.bench", *ports, str(server), str(worker), bell, sizes.word, *workloads
        )
    return figures("restate", found)
