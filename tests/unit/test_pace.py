"""Which files are read for the tests that were chosen, and where these keep their data."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests import pace

REST = "not proof and not security and not browser"


def chosen(markexpr: str, *, by_name: bool = False) -> pytest.Config:
    """A run of everything that has these marks, or of files by name."""
    source = pytest.Config.ArgsSource.ARGS if by_name else pytest.Config.ArgsSource.TESTPATHS
    option = SimpleNamespace(keyword="", markexpr=markexpr)
    return cast("pytest.Config", SimpleNamespace(args_source=source, option=option))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A test of each kind."""
    attacks = tmp_path / "attacks"
    attacks.mkdir()
    (attacks / "conftest.py").write_text("item.add_marker(pytest.mark.security)")
    texts = {
        tmp_path / "test_plain.py": "",
        tmp_path / "test_proof.py": "pytestmark = pytest.mark.proof",
        attacks / "test_attack.py": "",
        attacks / "test_both.py": "pytestmark = pytest.mark.proof",
    }
    for path, text in texts.items():
        path.write_text(text)
    return {path.stem.removeprefix("test_"): path for path in texts}


@pytest.mark.parametrize(
    ("markexpr", "names"),
    [
        (REST, {"plain", "proof"}),
        ("proof", {"proof", "both"}),
        ("security", {"attack", "both"}),
        ("browser", set[str]()),
        ("nats", {"plain", "proof", "attack", "both"}),
        ("proof or browser", {"plain", "proof", "attack", "both"}),
    ],
)
def test_only_files_that_may_have_what_was_chosen_are_read(
    files: dict[str, Path], markexpr: str, names: set[str]
) -> None:
    config = chosen(markexpr)
    read = {name for name, path in files.items() if not pace.pytest_ignore_collect(path, config)}
    assert read == names


@pytest.mark.parametrize("markexpr", [REST, "proof", "browser"])
def test_a_file_that_was_named_is_read(files: dict[str, Path], markexpr: str) -> None:
    config = chosen(markexpr, by_name=True)
    assert not any(pace.pytest_ignore_collect(path, config) for path in files.values())


def test_a_folder_and_its_conftest_are_read(files: dict[str, Path]) -> None:
    folder = files["attack"].parent
    for path in (folder, folder / "conftest.py"):
        assert pace.pytest_ignore_collect(path, chosen("browser")) is None


def test_a_mark_that_its_file_does_not_name_is_refused(request: pytest.FixtureRequest) -> None:
    """Nobody would find such a test by its mark."""
    request.node.add_marker("browser")
    with pytest.raises(pytest.UsageError, match=r"test_pace.py .* `mark\.browser` itself"):
        pace.pytest_collection_modifyitems([request.node])


def test_data_goes_to_memory_only_where_that_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not pace._has_room(tmp_path / "missing")
    monkeypatch.setattr(pace, "_ROOM", 2**80)
    assert not pace._has_room(tmp_path)
    monkeypatch.setattr(pace, "_ROOM", 0)
    assert pace._has_room(tmp_path) == Path("/proc/meminfo").exists()
