"""A stand-in for Slack: a message is a line in a file."""

from __future__ import annotations

import json
import os
from pathlib import Path


def channel() -> Path:
    """`slack.jsonl` in the folder that LAYBY_DATA names, `.layby` by default."""
    return Path(os.environ.get("LAYBY_DATA") or ".layby") / "slack.jsonl"


def send_slack_message(text: str) -> None:
    """Send a message to the developers."""
    file = channel()
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lines:
        lines.write(json.dumps({"text": text}) + "\n")


def sent() -> list[str]:
    """The messages so far."""
    file = channel()
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line)["text"] for line in lines]
