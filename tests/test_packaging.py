"""What is installed, under which names, and how soon it is there."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest

import layby

ROOT = Path(__file__).parent.parent
FOLDERS = ("actors", "bus", "runtime", "tools")
HEAVY = ["anthropic", "asyncio", "msgspec", "nats", "pydantic", "structlog", "watchfiles"]


def test_every_package_is_listed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found = {
        ".".join(("layby", *init.parent.relative_to(ROOT).parts))
        for folder in FOLDERS
        for init in (ROOT / folder).rglob("__init__.py")
    }
    found |= {
        ".".join(init.parent.relative_to(ROOT).parts)
        for init in (ROOT / "layby").rglob("__init__.py")
        if not any(folder.is_symlink() for folder in init.parents)
    }
    assert set(project["tool"]["setuptools"]["packages"]) == {"layby", *found}


def test_every_import_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    declared = {canonical(re.split(r"[\[<>=~!; ]", each)[0]) for each in wanted}
    homes = packages_distributions()
    ours = {"layby", "pydantic_core"}  # the latter comes with pydantic, in the version it wants
    for name in sorted(imported() - sys.stdlib_module_names - ours):
        owners = {canonical(home) for home in homes.get(name, [name])}
        assert owners & declared, f"{name}, of {owners}, is imported and not in pyproject.toml"


def canonical(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def imported() -> set[str]:
    """The first names of all absolute imports in the package."""
    found: set[str] = set()
    for folder in (*FOLDERS, "layby"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    found |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_import_name_leads_to_the_folder(folder: str) -> None:
    link = ROOT / "layby" / folder
    if not link.is_symlink():
        pytest.skip("checked out without symlinks")
    assert link.resolve() == ROOT / folder


def test_modules_are_imported_once() -> None:
    import_module("layby.bus")
    assert [name for name in sys.modules if name.rpartition(".")[2] == "bus"] == ["layby.bus"]


@pytest.mark.parametrize("face", ["layby", "layby.models", "layby.tools"])
def test_a_face_shows_what_it_lists(face: str) -> None:
    module = import_module(face)
    assert len(set(module.__all__)) == len(module.__all__)
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert not hasattr(module, "nonsense")


def test_what_type_checkers_see_is_what_is_loaded() -> None:
    """`__init__` says twice where a name lives: to type checkers, and to Python."""
    tree = ast.parse((ROOT / "layby" / "__init__.py").read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If)][:1]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    typed = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in imports
        for alias in node.names
    }
    assert sorted(typed) == sorted(layby.__all__)
    for name, (module, original) in typed.items():
        assert getattr(layby, name) is getattr(import_module(f"layby.{module}"), original)


@pytest.mark.parametrize("code", ["import layby", "import layby.cli"])
def test_nothing_heavy_is_loaded_before_it_is_used(code: str) -> None:
    """Processor time and not the clock's, as this machine may be doing other things."""
    look = "import json, sys, time; begun = time.process_time()"
    tell = "print(json.dumps([time.process_time() - begun, list(sys.modules)]))"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", f"{look}\n{code}\n{tell}"],
        capture_output=True,
        check=True,
        cwd=ROOT,
    )
    seconds, modules = json.loads(done.stdout)
    assert [name for name in HEAVY if name in modules] == []
    assert seconds < 1.0
