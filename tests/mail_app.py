"""An app whose questions are mails and webhooks."""

from __future__ import annotations

import os
import socket
from typing import Any

from layby import App, Role, Rung, Step
from layby.channels import email, webhook

_HOOK = "LAYBY_TEST_HOOK"


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


PORT = int(os.environ.setdefault(_HOOK, str(_free_port())))
"""The port of the receiver; workers in other processes inherit it. Import this when a test runs."""
PEOPLE = {"ada": "ada@acme.example", "bob": "bob@acme.example"}

app = App(
    "mails",
    roles=[
        Role(
            "developer",
            channels=[
                email(people=PEOPLE, closing=True),
                webhook(f"http://127.0.0.1:{PORT}/hooks"),
            ],
        ),
        Role(
            "nobody",
            channels=[email("nobody@acme.example")],
            escalate=[Rung("1h", to="role:lead")],
        ),
        Role("lead", channels=[email("lead@acme.example")]),
    ],
)


@app.workflow(on="mails.asked", key="ticket", name="mails")
async def ask(event: dict[str, Any], step: Step) -> dict[str, Any]:
    """Ask once."""
    answer = await step.ask(event.get("role", "developer"), "Known?", answer=bool, timeout="2h")
    return {"value": answer.value, "by": answer.by, "vouched": answer.vouched}
