"""Which files are read for the tests that were chosen, and where these keep their data."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

import tests.examples
from tests import pace
from tests.examples import examples, proofs_but

REST = "not proof and not security and not browser"


ALL = {"plain", "proof", "matrix", "property", "attack", "both"}


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
        tmp_path / "test_matrix.py": "@pytest.mark.parametrize('point', proofs_but(1, POINTS))",
        tmp_path / "test_property.py": "@given(st.text())",
        attacks / "test_attack.py": "",
        attacks / "test_both.py": "pytestmark = pytest.mark.proof",
    }
    for path, text in texts.items():
        path.write_text(text)
    return {path.stem.removeprefix("test_"): path for path in texts}


@pytest.mark.parametrize(
    ("markexpr", "names"),
    [
        (REST, {"plain", "proof", "matrix", "property"}),
        ("proof", {"proof", "matrix", "property", "both"}),
        ("security", {"attack", "both"}),
        ("browser", set[str]()),
        ("nats", ALL),
        ("security or proof", {"proof", "matrix", "property", "attack", "both"}),
        ("proof or nats", ALL),
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
        pace.pytest_collection_modifyitems(chosen("browser"), [request.node])


@pytest.mark.parametrize(
    ("markexpr", "is_proof"), [("proof", True), (REST, False), ("nats", False)]
)
def test_a_property_is_a_proof_where_proofs_were_chosen(
    request: pytest.FixtureRequest, markexpr: str, *, is_proof: bool
) -> None:
    request.node.add_marker("hypothesis")
    pace.pytest_collection_modifyitems(chosen(markexpr), [request.node])
    assert (request.node.get_closest_marker("proof") is not None) == is_proof


def test_a_part_of_the_examples_is_tried_where_a_part_was_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for in_part, tried in ((False, [5, 30, 400]), (True, [5, 10, 80])):
        monkeypatch.setattr(tests.examples, "_in_part", in_part)
        assert [examples(full) for full in (5, 30, 400)] == tried


def test_all_cases_of_a_matrix_but_the_first_are_proofs() -> None:
    cases = proofs_but(1, ["a", ("b", 2), ("c", 3)])
    assert [case.values for case in cases] == [("a",), ("b", 2), ("c", 3)]
    assert [[mark.name for mark in case.marks] for case in cases] == [[], ["proof"], ["proof"]]


def test_data_goes_to_memory_only_where_that_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not pace._has_room(tmp_path / "missing")
    monkeypatch.setattr(pace, "_ROOM", 2**80)
    assert not pace._has_room(tmp_path)
    monkeypatch.setattr(pace, "_ROOM", 0)
    assert pace._has_room(tmp_path) == Path("/proc/meminfo").exists()
