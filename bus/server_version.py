"""Which releases of nats-server are new enough."""

from __future__ import annotations

import re
from typing import Final

from .errors import ServerTooOld
from .install import installing

OLDEST_SERVER: Final = (2, 12)
"""The oldest nats-server that is supported: it introduced message schedules, for our timers."""


def check_version(version: str, where: str = "The server") -> None:
    """Check that a server is new enough.

    Raises:
        ServerTooOld: it is older than 2.12, or does not report its version.
    """
    match = re.match(r"v?(\d+)\.(\d+)", version)
    if match is None or (int(match[1]), int(match[2])) < OLDEST_SERVER:
        raise ServerTooOld(
            f"{where} runs nats-server {version or '(unknown)'}; Layby needs 2.12 or newer, which "
            "has the message schedules that its timers use. Upgrade it, or use the server of "
            f"`{installing('local')}`."
        )
