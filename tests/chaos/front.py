"""Slack and a mail server for a campaign, each in a thread: no fault kills them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass

from tests.fix_slack import BOT_TOKEN, FakeSlack, workspace
from tests.fix_smtp import SENDER, PostOffice, post_office

from .crowd import WORKSPACE


@dataclass(frozen=True)
class Front:
    """What people see in Slack, and in their mailboxes."""

    slack: FakeSlack
    office: PostOffice

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment that names both."""
        return {
            WORKSPACE: self.slack.url,
            "SLACK_BOT_TOKEN": BOT_TOKEN,
            "LAYBY_SMTP": self.office.url,
            "LAYBY_SMTP_FROM": SENDER,
        }


@contextlib.contextmanager
def front() -> Generator[Front]:
    """Both, while the block is open."""
    with workspace() as slack, _office() as office:
        yield Front(slack, office)


@contextlib.contextmanager
def _office() -> Generator[PostOffice]:
    """A mail server with a loop of its own, which nothing else holds up."""
    loop, found, over = asyncio.new_event_loop(), list[PostOffice](), asyncio.Event()
    started = threading.Event()

    async def serve() -> None:
        async with post_office() as office:
            found.append(office)
            started.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        loop.close()
