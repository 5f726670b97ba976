"""The page on testing is a test of the quickstart's app."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.nats

ROOT = Path(__file__).parent.parent
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[str]:
    return _PYTHON.findall((ROOT / "docs" / page).read_text())


@pytest.mark.slow
def test_the_examples_run(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(blocks("quickstart.md")[0])
    (tmp_path / "test_shop.py").write_text("\n\n".join(blocks("testing.md")))
    plugin = [] if "layby.pytest_plugin" in _installed() else ["-p", "layby.pytest_plugin"]
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pytest", "-q", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider",
         "--rootdir", ".", *plugin],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed, 1 skipped" in done.stdout


def _installed() -> set[str]:
    from importlib.metadata import entry_points  # noqa: PLC0415

    return {point.name for point in entry_points(group="pytest11")}
