"""Slack through `layby notify`: workers without a token, and a process that has both."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from layby.bus.server import EmbeddedServer
from tests.command import Command
from tests.fix_layby import WITHIN, Desk
from tests.fix_slack import APP_TOKEN, BOT_TOKEN, FakeSlack, Posted
from tests.slack_app import ADDRESS

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

APP = "tests.slack_app:app"
NO_TOKENS = {"SLACK_BOT_TOKEN": "", "SLACK_APP_TOKEN": ""}


class Called(Desk):
    """A folder, a server, a workspace, and any number of `layby notify`."""

    def __init__(self, folder: Path, url: str, fake: FakeSlack) -> None:
        super().__init__(folder, url)
        self.fake = fake
        self.started: list[Command] = []

    def start_notify(self) -> Command:
        """Start one, and wait until it listens."""
        before = self.fake.connections
        process = self.start("notify", APP, **{ADDRESS: self.fake.url})
        self.started.append(process)
        self.sooner_or_later(lambda: self.fake.connections > before)
        return process

    def ask(self, **event: object) -> Posted:
        """Start a run; its card."""
        self.json("send", "slackers.asked", json.dumps({"ticket": "T1", **event}))
        self.sooner_or_later(self.fake.cards)
        return self.fake.cards()[0]

    def told(self, user: str, words: str) -> None:
        """Wait until somebody was told something."""
        self.sooner_or_later(lambda: any(words in each for each in self.fake.told(user)))

    def close(self) -> None:
        """End everything."""
        self.stop_workers()
        for process in self.started:
            process.close()


@pytest.fixture
def desk(tmp_path: Path, own_server: EmbeddedServer, fake_slack: FakeSlack) -> Iterator[Called]:
    assert os.environ["SLACK_BOT_TOKEN"] == BOT_TOKEN
    assert os.environ["SLACK_APP_TOKEN"] == APP_TOKEN
    with contextlib.closing(Called(tmp_path, own_server.url, fake_slack)) as made:
        yield made


def test_a_process_that_has_the_tokens_shows_questions_and_takes_the_answers(
    desk: Called,
) -> None:
    desk.start_worker(app=APP, **NO_TOKENS)
    notify = desk.start_notify()
    card = desk.ask()
    asyncio.run(desk.fake.reply("U0ADA", card, "it is known"))
    desk.told("U0ADA", "Your answer counts.")
    run = desk.ended("T1")["id"]
    assert desk.json("show", run)["result"]["vouched"] == "slack"
    desk.sooner_or_later(lambda: desk.fake.replies(card))
    assert "ada answered: it is known" in card.words
    notify.terminate()
    assert notify.wait(WITHIN) == 0
    assert not desk.fake.sockets
    said = notify.stderr.read()
    assert "slack.said" in said
    assert "it is known" not in said
    for secret in (BOT_TOKEN, APP_TOKEN, "ticket-"):
        assert secret not in said


def test_another_process_takes_over_when_one_is_killed(desk: Called) -> None:
    desk.start_worker(app=APP, **NO_TOKENS)
    first = desk.start_notify()
    card = desk.ask(quorum=2)
    asyncio.run(desk.fake.press("U0ADA", card, "yes"))
    desk.told("U0ADA", "1 of 2")
    first.kill()
    assert first.wait(WITHIN) == -9
    desk.start_notify()
    asyncio.run(desk.fake.press("U0ADA", card, "yes"))
    desk.told("U0ADA", "You have voted already")
    asyncio.run(desk.fake.press("U0BOB", card, "yes"))
    desk.told("U0BOB", "Your answer counts.")
    run = desk.ended("T1")["id"]
    assert desk.json("show", run)["result"]["by"] == "ada, bob"
    desk.sooner_or_later(lambda: desk.fake.replies(card))
    assert len(desk.fake.cards()) == 1
    assert card.labels == []
