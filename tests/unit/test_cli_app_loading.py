from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from layby import App
from layby.cli.screen.errors import CliError, UsageError
from layby.cli.target.app_loading import load_app, split_target

GOOD = "from layby import App\napp = App('demo')\nother = 1\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("cli_load_"):
            del sys.modules[name]


def failure(target: str) -> CliError:
    with pytest.raises(CliError) as caught:
        load_app(target)
    return caught.value


def test_an_app_in_the_current_folder(folder: Path) -> None:
    (folder / "cli_load_good.py").write_text(GOOD)
    assert isinstance(load_app("cli_load_good:app"), App)


@pytest.mark.parametrize("target", ["app", "app:", ":app", "a b:app", "app:1x", ""])
def test_a_target_that_names_no_app_is_refused(target: str) -> None:
    with pytest.raises(UsageError, match="does not name an app"):
        split_target(target)


def test_a_path_is_answered_with_its_module() -> None:
    with pytest.raises(UsageError) as caught:
        split_target("examples/support_agent/app.py:app")
    assert "examples.support_agent.app:app" in caught.value.advice


@pytest.mark.usefixtures("folder")
def test_a_missing_module_is_named() -> None:
    error = failure("cli_load_missing.deep:app")
    assert "no module 'cli_load_missing'" in error.message


def test_a_missing_import_of_a_module_is_named(folder: Path) -> None:
    (folder / "cli_load_needs.py").write_text("x = 1\nimport nothing_like_this\n")
    error = failure("cli_load_needs:app")
    assert "No module named 'nothing_like_this'" in error.message
    assert "cli_load_needs.py:2: import nothing_like_this" in error.advice


def test_a_module_that_raises_shows_the_users_own_line(folder: Path) -> None:
    (folder / "cli_load_raises.py").write_text("def f():\n    return 1 / 0\n\nf()\n")
    error = failure("cli_load_raises:app")
    assert "ZeroDivisionError: division by zero" in error.message
    assert "cli_load_raises.py:2: return 1 / 0" in error.advice


def test_a_module_with_a_typing_error(folder: Path) -> None:
    (folder / "cli_load_syntax.py").write_text("x = (\n")
    error = failure("cli_load_syntax:app")
    assert "SyntaxError" in error.message
    assert "cli_load_syntax.py:1: x = (" in error.advice


def test_a_module_that_exits(folder: Path) -> None:
    (folder / "cli_load_exits.py").write_text("raise SystemExit(3)\n")
    assert "SystemExit: 3" in failure("cli_load_exits:app").message


def test_a_missing_attribute_lists_the_apps_of_the_module(folder: Path) -> None:
    (folder / "cli_load_attr.py").write_text(GOOD)
    error = failure("cli_load_attr:ap")
    assert error.message == "cli_load_attr has no 'ap'"
    assert error.advice == "did you mean cli_load_attr:app?"


def test_an_object_that_is_not_an_app_is_refused(folder: Path) -> None:
    (folder / "cli_load_int.py").write_text(GOOD)
    error = failure("cli_load_int:other")
    assert "is int, not a layby App" in error.message
