"""What the documents say is so: their links lead somewhere, and their commands and code run."""

from __future__ import annotations

import functools
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main

from layby import App
from layby.cli.entry import app_of
from layby.testing import running

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("*/*.md"),
        *ROOT.glob("examples/*/*.md"),
        *ROOT.glob("docs/adr/*.md"),
    ]
)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_BLOCK = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(page.read_text()):
        target, _, anchor = link.partition("#")
        if ":" in target:
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{link} in {named(page)}"
        if anchor:
            assert anchor in anchors(path), f"{link} in {named(page)}"


def anchors(page: Path) -> set[str]:
    """The names that a page's headings have in links."""
    titles = (
        re.sub(r"[^\w\- ]", "", title.lower()) for title in _HEADING.findall(page.read_text())
    )
    return {title.strip().replace(" ", "-") for title in titles}


@functools.cache
def layby() -> Any:
    """The command line."""
    return typer.main.get_command(app_of())


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_exist(page: Path) -> None:
    group = layby()
    for words in commands(page):
        name = next((word for word in words if word in group.commands), None)
        assert name is not None, words
        known, found = {"--help"}, group.commands[name]
        inner = [getattr(found, "commands", {}).get(word) for word in words]
        params = [param for each in (group, found, *filter(None, inner)) for param in each.params]
        for each in params:
            known |= {*each.opts, *each.secondary_opts}
        options = [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]
        assert set(options) <= known, f"{words} in {named(page)}"


def commands(page: Path) -> Iterator[list[str]]:
    """The calls of `layby` in a page's shell blocks, without the command itself."""
    shell = [block for language, block in _BLOCK.findall(page.read_text()) if language == "sh"]
    for block in shell:
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\|", line):
                words = shlex.split(part, comments=True)
                while words and re.match(r"[A-Z_]+=", words[0]):
                    words.pop(0)
                if len(words) > 1 and Path(words[0]).name == "layby":
                    yield words[1:]


@pytest.mark.slow
def test_the_quickstart_runs(tmp_path: Path) -> None:
    """Its blocks are files, and one of them is a test of the others."""
    for language, block in _BLOCK.findall((ROOT / "docs" / "quickstart.md").read_text()):
        if language == "python":
            first, _, _ = block.partition("\n")
            (tmp_path / first.removeprefix("# ")).write_text(block)
    # The workflow of the first half is driven as the text says: event, question, answer.
    (tmp_path / "test_app.py").write_text(_DRIVEN)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-o", "asyncio_mode=auto", "--rootdir", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


_DRIVEN = """
from app import app

from layby.testing import running


async def test_as_the_text_says():
    async with running(app) as rt:
        await rt.send("shop.refund.requested", {"orderId": "1001", "amount": 25})
        assert (await rt.answer("1001", "perhaps", by="ada")).outcome == "invalid"
        assert (await rt.answer("1001", "yes", by="ada")).outcome == "accepted"
        assert await rt.result("1001") == "25.00 paid back for 1001"
"""


def test_the_retention_of_every_stream_is_told() -> None:
    table = (ROOT / "docs" / "operations.md").read_text().partition("## Retention")[2]
    waiting = App("waiting", events=["something.happened"])
    for stream in waiting.topology().streams:
        assert f"| {stream.name} |" in table


def test_the_readmes_examples_are_apps() -> None:
    blocks = _BLOCK.findall((ROOT / "README.md").read_text())
    codes = [block for language, block in blocks if language == "python"]
    assert len(codes) == 2
    for code in codes:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", f"{code}\nprint(len(app.topology().consumers))"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert int(done.stdout) > 0, done.stderr


def test_the_readme_shows_python_at_once_and_is_short() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert lines.index("```python") < 40
    assert len(lines) < 200


@pytest.mark.nats
@pytest.mark.parametrize(
    ("answer", "result"), [("yes", "25 paid back for 1001"), ("no", "refused")]
)
async def test_the_readmes_first_example_does_what_it_says(
    clean_nats: str, answer: str, result: str
) -> None:
    blocks = _BLOCK.findall((ROOT / "README.md").read_text())
    code = next(block for language, block in blocks if language == "python")
    module = ModuleType("shop")
    exec(code, vars(module))  # noqa: S102
    async with running(module.app, url=clean_nats) as rt:
        await rt.send("shop.refund.requested", {"orderId": "1001", "amount": 25})
        assert (await rt.question()).question == "Pay 25 back?"
        assert (await rt.answer("1001", "perhaps", by="ada")).outcome == "invalid"
        assert (await rt.answer("1001", answer, by="ada")).outcome == "accepted"
        assert await rt.result("1001") == result
