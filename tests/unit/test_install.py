"""Every command to install something that is printed works: Layby itself is on no index."""

from __future__ import annotations

import re
import shlex
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from layby.bus import install
from layby.bus.install import installing

ROOT = Path(__file__).parents[2]
EXTRAS: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
    "optional-dependencies"
]
SHIPPED = ("README.md", "docs", "examples", "deploy", "actors", "bus", "layby", "runtime", "tools")
_COMMAND = re.compile(r"pip install ([^`\n#&|]*)")
_FROM_INDEX = re.compile(r"layby(\[[\w,-]+\])?(==.*)?")


def commands(name: str) -> list[tuple[Path, str]]:
    """The arguments of each `pip install` in a file, or in the files of a folder."""
    path = ROOT / name
    files = [path] if path.is_file() else path.rglob("*")
    texts = [each for each in files if each.suffix in {".md", ".py", ".yaml", ".toml"}]
    assert texts
    return [(each, found) for each in texts for found in _COMMAND.findall(each.read_text())]


@pytest.mark.parametrize("name", SHIPPED)
def test_no_text_tells_to_install_layby_from_an_index(name: str) -> None:
    for path, arguments in commands(name):
        for word in re.split(r"[\s\"']+", arguments):
            assert not _FROM_INDEX.fullmatch(word), f"{path}: pip install {arguments}"
            extra = re.fullmatch(r"\.\[([\w,-]+)\]", word)
            known = extra is None or set(extra[1].split(",")) <= EXTRAS.keys()
            assert known, f"{path}: pip install {arguments}"


def test_a_clone_is_named_by_its_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    assert installing("mcp") == "pip install -e '.[mcp]'"
    monkeypatch.chdir(tmp_path)
    assert shlex.split(installing("mcp"))[-1] == f"{ROOT}[mcp]"


def test_an_installed_package_names_what_its_extra_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    needs = [
        "nats-py>=2.14",
        'mcp<3,>=2; extra == "mcp"',
        "psycopg[binary]>=3; extra == 'postgres'",
    ]

    def requires(_: str) -> Any:
        return needs

    monkeypatch.setattr(install, "_CLONE", tmp_path)
    monkeypatch.setattr(metadata, "requires", requires)
    assert installing("mcp") == "pip install 'mcp<3,>=2'"
    assert installing("postgres") == "pip install 'psycopg[binary]>=3'"
