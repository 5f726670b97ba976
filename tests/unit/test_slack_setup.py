"""Slack's packages: loaded when they are used, and named when they are missing."""

from __future__ import annotations

import importlib.util
import json
import logging
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from layby import Role
from layby.actors.people.channels.slack_api import quiet
from layby.channels import ChannelError, Undeliverable, slack
from layby.runtime.errors import InvalidSetup
from tests.slack_cards import card
from tests.slack_desk import SmallDesk

ROOT = Path(__file__).parents[2]
PACKAGES = ("aiohttp", "slack_bolt", "slack_sdk")


def test_declaring_a_channel_loads_none_of_slacks_packages() -> None:
    code = (
        "import json, sys; from layby.channels import slack; "
        "c = slack('#oncall', people={'U0ADA': 'ada'}); c.missing(); "
        "print(json.dumps(list(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT)  # noqa: S603
    loaded = json.loads(done.stdout)  # nats-py loads aiohttp, too, if it is there
    assert [name for name in PACKAGES if name in loaded and name != "aiohttp"] == []


@pytest.mark.parametrize("package", PACKAGES)
async def test_a_missing_package_is_named_with_how_to_install_it(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec

    def without(name: str) -> ModuleSpec | None:
        return None if name == package else find(name)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1")
    channel = slack("#oncall")
    assert "pip install" in channel.missing()
    assert "[slack]" in channel.missing()
    with pytest.raises(ChannelError, match="pip install"):
        await channel.send(card())
    with pytest.raises(Undeliverable, match="pip install"):
        await channel.listen(SmallDesk())


def test_what_slacks_packages_log_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """They log what people write, and addresses that are secrets."""
    with caplog.at_level(logging.DEBUG):
        quiet.critical("wss://wss-primary.slack.com/?ticket=secret")
        quiet.exception("wss://wss-primary.slack.com/?ticket=secret")
    assert caplog.records == []


def test_channels_of_one_role_need_names_of_their_own() -> None:
    with pytest.raises(InvalidSetup, match="two channels 'slack'"):
        Role("developer", channels=[slack("#one"), slack("#two")])
    Role("developer", channels=[slack("#one"), slack("#two", name="slack-two")])
