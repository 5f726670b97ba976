"""Which files are read for the tests that were chosen, and where these keep their data."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

import tests.examples
from tests import pace
from tests.examples import examples, is_in_turn, proofs_but

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
        list(pace.pytest_collection_modifyitems(chosen("browser"), [request.node]))


@pytest.mark.parametrize(
    ("markexpr", "is_proof"), [("proof", True), (REST, False), ("nats", False)]
)
def test_a_property_is_a_proof_where_proofs_were_chosen(
    request: pytest.FixtureRequest, markexpr: str, *, is_proof: bool
) -> None:
    request.node.add_marker("hypothesis")
    list(pace.pytest_collection_modifyitems(chosen(markexpr), [request.node]))
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


def test_each_proof_is_in_one_of_the_turns() -> None:
    proofs = [f"tests/test_kills.py::test_kill[{number}]" for number in range(300)]
    chosen = [[is_in_turn(proof, f"{turn}/3") for turn in (1, 2, 3)] for proof in proofs]
    assert all(sum(turns) == 1 for turns in chosen)
    assert all(sum(of_turn) > 60 for of_turn in zip(*chosen, strict=True))


@pytest.mark.parametrize("turn", ["", "2", "0/3", "4/3", "1/0", "-1/3", "2/3 ", "all"])
def test_an_invalid_turn_is_refused(turn: str) -> None:
    with pytest.raises(pytest.UsageError, match="write 2/3"):
        is_in_turn("tests/test_kills.py::test_kill", turn)


def test_only_proofs_take_turns(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_out: list[pytest.Item] = []

    def deselected(items: list[pytest.Item]) -> None:
        left_out.extend(items)

    config = chosen("security or proof")
    vars(config)["hook"] = SimpleNamespace(pytest_deselected=deselected)
    test: pytest.Item = request.node
    for marked, ran in ((False, 3), (True, 1)):
        if marked:
            test.add_marker("proof")
        items = list[pytest.Item]()
        for turn in ("1/3", "2/3", "3/3"):
            monkeypatch.setenv("LAYBY_PROOFS", turn)
            of_turn = [test]
            list(pace.pytest_collection_modifyitems(config, of_turn))
            items += of_turn
        assert len(items) == ran
    assert left_out == [test, test]


class Marked:
    """A test that takes long or does not."""

    def __init__(self, name: str, *, slow: bool) -> None:
        self.name = name
        self._slow = slow

    def get_closest_marker(self, mark: str) -> bool | None:
        return True if mark == "slow" and self._slow else None


@pytest.mark.parametrize(
    ("tests", "processes", "order"),
    [
        ("", 3, ""),
        ("abc", 1, "abc"),
        ("abCdeF", 1, "CFabde"),
        ("aBcDefghI", 3, "BacDefIgh"),
        ("abcdeFGHI", 2, "FHabGIcde"),
        ("ABCDEFGHi", 3, "ADGBEHCFi"),
        ("Ab", 4, "Ab"),
    ],
)
def test_each_process_begins_with_its_share_of_what_takes_long(
    tests: str, processes: int, order: str
) -> None:
    items = cast("list[pytest.Item]", [Marked(name, slow=name.isupper()) for name in tests])
    assert "".join(item.name for item in pace.dealt(items, processes)) == order


def test_data_goes_to_memory_only_where_that_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not pace._has_room(tmp_path / "missing")
    monkeypatch.setattr(pace, "_ROOM", 2**80)
    assert not pace._has_room(tmp_path)
    monkeypatch.setattr(pace, "_ROOM", 0)
    assert pace._has_room(tmp_path) == Path("/proc/meminfo").exists()
