"""What contributors are told is so: commands, files, tests, seeded faults and campaigns exist."""

from __future__ import annotations

import functools
import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.chaos.longform import APART, LONG
from tests.chaos.mutants import MUTANTS
from tests.chaos.violation import KINDS

ROOT = Path(__file__).parent.parent
GUIDES = [ROOT / "CONTRIBUTING.md", ROOT / "AGENTS.md"]
DECISIONS = sorted((ROOT / "docs" / "adr").glob("0*.md"))
HEADINGS = ["Context", "Decision", "Consequences", "Rejected", "Where it is"]
SCREEN = 50
"""Lines that are read without turning a page."""
OF = {
    "coverage": "coverage",
    "lint-imports": "import-linter",
    "mypy": "mypy",
    "pip": "",  # comes with venv
    "pre-commit": "",  # the guide says how to get it
    "pyright": "pyright",
    "pytest": "pytest",
    "python": "",
    "ruff": "ruff",
}
"""The programs that guides may call, and the packages that bring them."""
_CODE = re.compile(r"`([^`\n]+)`")
_SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"\.?[\w-]+(/[\w.-]+)*/([\w.-]+\.\w+)?|[\w-]+\.(md|py|toml)|\.ci/run")


def named(page: Path) -> str:
    return page.stem


def commands(page: Path) -> Iterator[list[str]]:
    """Every command in a page's shell blocks and code marks, as words."""
    text = page.read_text()
    blocks = [line for block in _SHELL.findall(text) for line in block.splitlines()]
    for line in [*blocks, *_CODE.findall(text)]:
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            while words and re.fullmatch(r"[A-Z]+=\S+", words[0]):
                words.pop(0)
            if words and words[0].startswith((".venv/", ".ci/")):
                yield words


@pytest.mark.parametrize("page", GUIDES, ids=named)
def test_commands_exist(page: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    brought = {re.split(r"[\[<>=]", line)[0] for line in extras} | {""}
    found = list(commands(page))
    assert len(found) > 5
    for program, *_ in found:
        if program.startswith(".ci/"):
            assert (ROOT / program).stat().st_mode & 0o100
        else:
            assert OF.get(Path(program).name) in brought, f"{program} in {page.name}"


@pytest.mark.parametrize("page", GUIDES, ids=named)
def test_extras_are_declared(page: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in re.findall(r"'\.\[(\w+)\]'", page.read_text()):
        assert extra in project["optional-dependencies"]


@pytest.mark.parametrize("page", GUIDES, ids=named)
def test_what_pytest_is_given_exists(page: Path) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]
    markers = {line.partition(":")[0] for line in settings["markers"]}
    for words in commands(page):
        if Path(words[0]).name != "pytest":
            continue
        arguments = iter(words[1:])
        for word in arguments:
            if word == "-m":
                assert next(arguments) in markers
            elif word == "-k":
                next(arguments)
            else:
                assert (ROOT / word).exists(), f"{words} in {page.name}"


def modules() -> list[list[str]]:
    """The calls of `python -m` of our own modules, once each."""
    found = [words[2:] for page in GUIDES for words in commands(page) if words[1:2] == ["-m"]]
    ours = {" ".join(words) for words in found if words[0].startswith(("tests", "benchmarks"))}
    return [line.split() for line in sorted(ours)]


@functools.cache
def taken(module: str) -> set[str]:
    """The options that a module says it takes."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", module, "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return set(re.findall(r"--\w+", done.stdout))


@pytest.mark.slow
@pytest.mark.parametrize("words", modules(), ids=" ".join)
def test_modules_take_what_they_are_given(words: list[str]) -> None:
    module, *arguments = words
    assert importlib.util.find_spec(module) is not None
    options = {word for word in arguments if word.startswith("-")}
    names = {word for word in arguments if re.fullmatch(r"[a-z_,]+", word)}
    if options:
        assert options <= taken(module)
    if module == "tests.chaos":
        assert names <= LONG.keys() | APART.keys() | MUTANTS.keys()


@pytest.mark.parametrize("page", [*GUIDES, *DECISIONS], ids=named)
def test_files_and_folders_exist(page: Path) -> None:
    marks = [mark for mark in _CODE.findall(page.read_text()) if _PATH.fullmatch(mark)]
    # A bare `unit/` is a folder of the one whose line it is in.
    missing = [mark for mark in marks if not (ROOT / mark).exists()]
    missing = [mark for mark in missing if not (ROOT / "tests" / mark).exists()]
    assert marks
    assert not missing, f"{page.name} names what was moved or removed: {missing}"


def test_every_room_is_on_the_map() -> None:
    text = GUIDES[0].read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    rooms = {name.split(".")[-1] for name in project["packages"] if "." in name}
    for room in rooms - {"testing"}:
        said = re.search(rf"[`/]{room}/`", text)
        assert said, f"CONTRIBUTING.md does not say what {room}/ is for"


@pytest.mark.parametrize("page", DECISIONS, ids=named)
def test_a_decision_has_every_part_and_fits_on_a_screen(page: Path) -> None:
    text = page.read_text()
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS
    assert "**Status:**" in text
    assert "*Cost:*" in text
    assert text.count("\n") <= SCREEN
    assert page.name in (page.parent / "README.md").read_text()


@pytest.mark.parametrize("page", DECISIONS, ids=named)
def test_a_decision_names_what_holds_it(page: Path) -> None:
    """Faults, campaigns and checks are code marks without a dot or a slash in them."""
    _, _, held = page.read_text().partition("Held by ")
    marks = {mark for mark in _CODE.findall(held) if not re.search(r"[./-]", mark)}
    assert marks <= {*MUTANTS, *LONG, *APART, *KINDS}, page.name
    assert "tests/" in held or "lint-imports" in held


def test_the_workflow_runs_everything_on_each_python_that_is_supported() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    [job] = yaml.safe_load(text)["jobs"].values()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pythons = job["strategy"]["matrix"]["python"]
    assert project["requires-python"] == f">={pythons[0]}"
    assert job["steps"][-1]["run"] == ".ci/run"
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
    [checkout] = [step for step in job["steps"] if "checkout" in step.get("uses", "")]
    assert checkout["with"]["fetch-depth"] >= 2, "tests/acceptance/test_upgrade.py needs HEAD~1"
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", each) for each in used)
    asked = (ROOT / ".ci" / "run").read_text()
    assert all(f"${{{name}:-" in asked for name in job["steps"][-1]["env"])


def test_hooks_run_what_is_installed_here() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text()
    hooks = [hook for repo in yaml.safe_load(text)["repos"] for hook in repo["hooks"]]
    assert {hook["id"] for hook in hooks} == {"mypy", "ruff", "ruff-format"}
    assert all(hook["language"] == "system" for hook in hooks)  # nothing is fetched
    assert all(hook["entry"].startswith(".venv/bin/") for hook in hooks)
