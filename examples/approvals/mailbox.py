"""A mail server on this machine that prints each mail: `python -m examples.approvals.mailbox`.

It needs the package aiosmtpd. No mail leaves this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from email import message_from_bytes
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP

PORT = 8025


class Printing:
    """Takes every mail."""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        """Print a mail. Its name is that of aiosmtpd."""
        del server, session
        say(as_text(envelope.rcpt_tos, envelope.content))
        return "250 OK"


def say(text: str) -> None:
    """Print a text at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def as_text(to: list[str], content: bytes) -> str:
    """A mail as text."""
    mail = message_from_bytes(content, policy=default)
    body = mail.get_body(("plain",))
    text = body.get_content() if body is not None else ""
    return f"To: {', '.join(to)}\nSubject: {mail['Subject']}\n\n{text}\n{'-' * 72}"


async def main() -> None:
    """Serve until it is stopped."""
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: SMTP(Printing(), loop=loop), "127.0.0.1", PORT)
    say(f"mails go to LAYBY_SMTP=smtp://127.0.0.1:{PORT}")
    await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
