"""What type checkers say of tests/typing/: each mistake marked there is found, and nothing else.

`# type: ignore[code]` marks a mistake that a user might make. Both checkers complain of a mark
where they find no mistake, so a type that becomes weaker fails here, where they are installed.
"""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from layby.runtime.asking import Asking, AskOptions

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "tests" / "typing"
BIN = str(Path(sys.executable).parent)


def checked(program: str, *arguments: str, cwd: Path = ROOT) -> str:
    """What a checker complains of; empty: nothing."""
    found = shutil.which(program, path=BIN)
    if found is None:
        pytest.skip(f"{program} is not installed here")
    done = subprocess.run(  # noqa: S603
        [found, *arguments], capture_output=True, text=True, check=False, cwd=cwd
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.proof  # as `mypy` of the whole checkout looks there too
@pytest.mark.timeout(600)
def test_mypy_agrees() -> None:
    assert checked("mypy", str(FOLDER)) == ""


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_pyright_agrees() -> None:
    assert checked("pyright", str(FOLDER)) == ""


@pytest.mark.parametrize("page", sorted(FOLDER.glob("*.py")), ids=lambda page: page.stem)
def test_there_are_mistakes_and_types_in_each_file(page: Path) -> None:
    text = page.read_text()
    assert text.count("# type: ignore[") >= 3
    assert text.count("assert_type(") >= 5
    assert not re.search(r"# type: ignore(?!\[)", text)


def test_what_checkers_are_told_of_questions_is_what_ask_takes() -> None:
    taken = set(inspect.signature(Asking.ask).parameters)
    assert taken - {"self", "role", "question", "answer", "default"} == set(
        AskOptions.__annotations__
    )
