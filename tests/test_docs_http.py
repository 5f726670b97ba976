"""The page on the HTTP API: its commands run as printed, and say what the page says they say."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

from layby.console.api.operations import OPERATIONS
from layby.console.api.problem import STATUSES
from tests.fix_layby import APP, WITHIN, Desk

pytestmark = [pytest.mark.nats, pytest.mark.slow]

PAGE = (Path(__file__).parent.parent / "docs" / "http.md").read_text()
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ADDRESS = re.compile(r"(http://\S+)/\?token=(\S+)")


@pytest.fixture
def desk(tmp_path: Path, clean_nats: str) -> Iterator[Desk]:
    (tmp_path / "desk.py").write_text(APP)
    desk = Desk(tmp_path, clean_nats)
    yield desk
    desk.stop_workers()


def run(block: str, folder: Path, environ: dict[str, str]) -> str:
    """What a block prints; of a stream, all to the first event."""
    shell = shutil.which("bash")
    assert shell is not None
    with subprocess.Popen(  # noqa: S603
        [shell, "-euc", block],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        if " -N " not in block:
            said, _ = process.communicate(timeout=WITHIN)
            assert process.returncode == 0, (block, said)
            return said
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("data:"):
                break
        os.killpg(process.pid, signal.SIGTERM)
        return "".join(lines)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_the_examples_run_as_printed(desk: Desk) -> None:
    desk.start_worker()
    console = desk.start("console", "--port", "0")
    try:
        address = next(filter(None, map(_ADDRESS.search, console.stdout)))
        place = address[1]
        environ = {**desk.environ, "TOKEN": address[2], "API": f"{place}/api/v1"}
        blocks = [each for each in _BLOCK.findall(PAGE) if each[0] in {"sh", "json", "text"}]
        assert blocks[0] == ("sh", "layby console --port 7422\n")
        for (language, block), (kind, shown) in pairwise([*blocks[1:], ("", "")]):
            if language != "sh":
                continue
            prepare(block, desk, environ)
            say = partial(run, block.replace("http://127.0.0.1:7422", place), desk.folder, environ)
            if "--json" in block:
                assert is_as_shown(say(), kind, shown)
            else:  # what has just happened is listed within a second
                desk.sooner_or_later(partial(repeated, say, kind, shown))
        assert json.loads((desk.folder / "history.json").read_text())["workflow"] == "handle"
    finally:
        console.terminate()
        console.wait(WITHIN)
        console.close()


def repeated(say: Callable[[], str], kind: str, shown: str) -> bool:
    """The same of a block that runs again."""
    return is_as_shown(say(), kind, shown)


def is_as_shown(said: str, kind: str, shown: str) -> bool:
    """Whether a block says what the next one shows."""
    if kind == "json":
        return fits(json.JSONDecoder().raw_decode(said)[0], json.loads(shown))
    names = [line.partition(":")[0] for line in said.splitlines()]
    first = [line.partition(":")[0] for line in shown.splitlines()[:3]]
    return kind != "text" or names == ["retry", "", *first]


def prepare(block: str, desk: Desk, environ: dict[str, str]) -> None:
    """Set the variables that a block speaks of: a run, a question or a dead letter to act on."""
    if "$QUESTION" in block:
        environ["QUESTION"] = desk.question("T125")["id"]
    elif "$LETTER" in block:
        desk.run("send", "desk.ticket.opened", '{"ticket": 1}')
        letters = desk.sooner_or_later(lambda: desk.json("dead", "list"))
        environ["LETTER"] = str(letters[0]["id"])
    elif "$RUN" in block:
        desk.open_ticket("T126")
        ticket = "T126" if "/cancel" in block else "T125"
        environ["RUN"] = desk.question(ticket)["run"]


def fits(said: Any, shown: Any) -> bool:
    """Whether what was said has all that is shown, of the same types."""
    if isinstance(shown, dict):
        fields = cast("dict[str, Any]", shown)
        return all(key in said and fits(said[key], value) for key, value in fields.items())
    if isinstance(shown, list):
        return all(said and fits(said[0], value) for value in cast("Any", shown)[:1])
    return shown is None or said is None or type(said) is type(shown)


def test_every_operation_is_on_the_page() -> None:
    for operation in OPERATIONS:
        path = re.sub(r"\{(\w+)\}", r"{\1}", operation.template).lstrip("/")
        named = re.sub(r"\\\{\w+\\\}", r"[^/\\s]+", re.escape(path))
        assert re.search(rf"(GET|POST|\$API/|/v1/) ?{named}\b|`{named}\b", PAGE), operation.path


def test_every_status_is_on_the_page() -> None:
    table = PAGE.partition("## Errors")[2]
    assert {str(status) for status in STATUSES} <= set(re.findall(r"\b\d{3}\b", table))
