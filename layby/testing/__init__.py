"""For tests of apps: scripted models, a server, a whole runtime, crashes and recorded histories.

See docs/testing.md. Nothing here is needed to run an app.
"""

from __future__ import annotations

from ..runtime.crash import POINTS as CRASH_POINTS
from ..runtime.errors import WorkflowChanged
from ..runtime.nkey import Signer
from .channels import MemoryChannel, check_channel, example_card
from .history import History, record
from .repeats import RunsAgain
from .replay import replay
from .runtime import RunFailed, TestRuntime, running
from .script import ScriptedModel, calls, says
from .server import server, wipe
from .wake_ups import Fired

__all__ = [
    "CRASH_POINTS",
    "Fired",
    "History",
    "MemoryChannel",
    "RunFailed",
    "RunsAgain",
    "ScriptedModel",
    "Signer",
    "TestRuntime",
    "WorkflowChanged",
    "calls",
    "check_channel",
    "example_card",
    "record",
    "replay",
    "running",
    "says",
    "server",
    "wipe",
]
