"""The far side of a channel, in a process of its own: a Slack workspace or a mail server."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncGenerator
from typing import Any

from aiosmtpd.smtp import SMTP

from tests.fix_slack import APP_TOKEN, BOT_TOKEN, FakeSlack
from tests.fix_smtp import SENDER

SLACK = "slack"
MAIL = "mail"
_KEPT = 100
"""Messages in the channel: as many as a busy one may have in the ten minutes that are searched."""
_READY = 30.0
_BYE = 10.0


class _Busy(FakeSlack):
    """A workspace whose channel stays as long as it is."""

    async def _post(self, fields: dict[str, Any]) -> dict[str, Any]:
        found = await super()._post(fields)
        del self.messages[:-_KEPT]
        return found


@contextlib.asynccontextmanager
async def far_side(kind: str) -> AsyncGenerator[dict[str, str]]:
    """One that runs while the block does, as environment variables that name it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, kind),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None  # noqa: S101
    assert process.stdout is not None  # noqa: S101
    try:
        async with asyncio.timeout(_READY):
            address = (await process.stdout.readline()).decode().strip()
        if not address:
            raise RuntimeError(f"the {kind} server did not start")
        yield _variables(kind, address)
    finally:
        process.stdin.close()  # it ends then, and when this process is killed
        async with asyncio.timeout(_BYE):
            await process.wait()


def _variables(kind: str, address: str) -> dict[str, str]:
    if kind == MAIL:
        return {"LAYBY_SMTP": address, "LAYBY_SMTP_FROM": SENDER}
    return {"SLACK_BOT_TOKEN": BOT_TOKEN, "SLACK_APP_TOKEN": APP_TOKEN, "SLACK_URL": address}


def _serve_slack() -> None:
    slack, started = _Busy(), threading.Event()
    threading.Thread(target=slack.run, args=(started,), daemon=True).start()
    started.wait(_READY)
    sys.stdout.write(f"{slack.url}\n")
    sys.stdout.flush()
    sys.stdin.read()


class _Postbox:
    """Takes every mail, and reads none."""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        del server, session, envelope
        return "250 OK"


async def _serve_mail() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(_Postbox(), loop=loop, hostname="mail.test"), "127.0.0.1", 0
    )
    sys.stdout.write(f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    if sys.argv[1] == SLACK:
        _serve_slack()
    else:
        asyncio.run(_serve_mail())
