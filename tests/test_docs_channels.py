"""docs/channels.md: the channel that it shows works, and keeps the rules that it states."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from layby import App
from layby.channels import Channel, ChannelError
from layby.testing import check_channel, example_card

PAGE = Path(__file__).parent.parent / "docs" / "channels.md"


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """What the code of the page defines."""
    names: dict[str, Any] = {}
    for code in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102
    return names


@pytest.fixture
def folder(page: dict[str, Any], tmp_path: Path) -> Channel:
    found: Channel = page["Folder"](str(tmp_path))
    return found


async def test_the_channel_of_the_page_keeps_the_rules(folder: Channel) -> None:
    await check_channel(folder)


async def test_its_own_test_passes(page: dict[str, Any], tmp_path: Path) -> None:
    await page["test_the_folder_keeps_the_rules"](tmp_path)


async def test_it_shows_the_card_and_says_what_it_lacks(
    page: dict[str, Any], folder: Channel, tmp_path: Path
) -> None:
    ref = await folder.send(example_card(text="Known?"))
    assert json.loads((tmp_path / f"{ref}.json").read_text())["text"] == "Known?"
    gone = page["Folder"](str(tmp_path / "nowhere"))
    assert "there is no folder" in gone.missing()
    with pytest.raises(ChannelError, match="cannot be written"):
        await gone.send(example_card())


def test_the_app_of_the_page_has_a_mailbox_for_each_channel(page: dict[str, Any]) -> None:
    app: App = page["app"]
    names = {spec.name for spec, _ in app.mailboxes() if spec.stream == "QUESTIONS"}
    assert names == {"cards-developer-oncall", "cards-lead-leads"}
