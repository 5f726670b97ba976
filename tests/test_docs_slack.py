"""docs/slack.md: its manifest asks for what the code uses, and its numbers are the code's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from layby import App
from layby.actors.people.channels.slack_api import APP_TOKEN, BOT_TOKEN
from layby.actors.people.channels.slack_card import FULL, message_of
from layby.channels import Channel
from tests.slack_cards import approval
from tests.slack_rules import buttons_of, plain_texts

ROOT = Path(__file__).parent.parent
CODE = ROOT / "actors" / "people" / "channels"
PAGE = (ROOT / "docs" / "slack.md").read_text()
SCOPES = {
    "chat.postMessage": {"chat:write"},
    "chat.update": {"chat:write"},
    "chat.delete": {"chat:write"},
    "chat.postEphemeral": {"chat:write"},
    "conversations.history": {"channels:history", "groups:history"},
    "conversations.replies": {"channels:history", "groups:history"},
    "conversations.list": {"channels:read", "groups:read"},
    "auth.test": set[str](),
    "views.open": set[str](),
    "apps.connections.open": set[str](),
}
"""What Slack asks of an app that calls these, as its reference says."""


def block(language: str) -> str:
    found = re.search(rf"^ *```{language}\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def manifest() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(block("yaml"))
    return found


def test_the_manifest_asks_for_the_scopes_of_the_methods_that_are_called() -> None:
    code = "\n".join(path.read_text() for path in CODE.glob("slack*.py"))
    called = set(re.findall(r'"((?:auth|chat|views|conversations|apps)\.[A-Za-z.]+)"', code))
    assert called == SCOPES.keys()
    needed = set[str]().union(*SCOPES.values())
    assert set(manifest()["oauth_config"]["scopes"]["bot"]) == needed
    for scope in needed:
        assert f"`{scope}`" in PAGE


def test_the_manifest_turns_on_what_answers_need() -> None:
    settings = manifest()["settings"]
    assert settings["socket_mode_enabled"] is True
    assert settings["interactivity"]["is_enabled"] is True
    events = settings["event_subscriptions"]["bot_events"]
    assert sorted(events) == ["message.channels", "message.groups"]


def test_the_page_names_the_variables_and_the_limits() -> None:
    assert f"`{BOT_TOKEN}`" in PAGE
    assert f"`{APP_TOKEN}`" in PAGE
    for most, what in zip(FULL, ("question", "arguments", "context"), strict=True):
        assert re.search(rf"{most:,} of the\s+{what}", PAGE)


def test_the_card_looks_as_it_is_shown() -> None:
    asked = approval(
        run="3f9a1c07be5522d804aa",
        told=("ada",),
        text='May Clerk call refund(order="A1", cents=900)?',
        silence="the call does not run, and the agent is told",
    )
    blocks = message_of(asked, {"ada": "U0ADA"}).blocks
    lines = plain_texts([each for each in blocks if each["type"] != "actions"]).splitlines()
    lines = [re.sub("<!date.*>", "Nov 29, 2025 4:26 PM", line) for line in lines]
    lines = [line.replace("<@U0ADA>", "@Ada") for line in lines]
    row = " ".join(f"[{each['text']['text']}]" for each in buttons_of(blocks))
    assert block("text").splitlines() == [*lines, row]


def test_the_example_is_an_app() -> None:
    found: dict[str, Any] = {}
    exec(block("python"), found)  # noqa: S102  our own page
    assert isinstance(found["app"], App)
    assert isinstance(found["oncall"], Channel)
    assert repr(found["oncall"]) == "slack('#oncall')"
