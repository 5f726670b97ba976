"""The folder in which the agent works. It cannot read or write anything outside it."""

from __future__ import annotations

import ast
import os
from pathlib import Path

from layby import ToolError

_LARGEST = 50_000
_FIRST = '''\
def mean(numbers: list[float]) -> float:
    """The average of some numbers."""
    return sum(numbers) / len(numbers)
'''


class Workspace:
    """A folder of Python files."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    @classmethod
    def from_env(cls) -> Workspace:
        """The folder that LAYBY_WORKSPACE names, or `.layby/code`; a new one gets one file."""
        root = Path(os.environ.get("LAYBY_WORKSPACE") or ".layby/code")
        if not root.exists():
            root.mkdir(parents=True)
            (root / "stats.py").write_text(_FIRST)
        return cls(root)

    def files(self) -> list[str]:
        """The names of the files."""
        found = [path for path in self._root.rglob("*.py") if path.is_file()]
        return sorted(str(path.relative_to(self._root)) for path in found)

    def read(self, name: str) -> str:
        """A file's text. Raises ToolError."""
        path = self._inside(name)
        if not path.is_file():
            raise ToolError(f"there is no file {name!r}; there are: {', '.join(self.files())}")
        return path.read_text()[:_LARGEST]

    def write(self, name: str, text: str) -> None:
        """Replace a file; writing the same twice does no harm. Raises ToolError."""
        path = self._inside(name)
        if path.suffix != ".py" or len(text) > _LARGEST:
            raise ToolError(f"{name!r}: only Python files of up to {_LARGEST} characters")
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path.with_suffix(".py.new")
        made.write_text(text)
        made.replace(path)

    def problems(self, name: str) -> str:
        """What the compiler reports about a file; "" if nothing."""
        try:
            ast.parse(self.read(name), name)
        except SyntaxError as error:
            return f"{name}:{error.lineno}: {error.msg}"
        return ""

    def _inside(self, name: str) -> Path:
        path = (self._root / name).resolve()
        if not path.is_relative_to(self._root):
            raise ToolError(f"{name!r} is outside the workspace")
        return path
