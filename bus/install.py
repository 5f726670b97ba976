"""The command that installs what an optional part of Layby needs, as it works here."""

from __future__ import annotations

import re
import shlex
from importlib import metadata
from pathlib import Path

_CLONE = Path(__file__).resolve().parents[1]
_EXTRA = re.compile(r"""extra\s*==\s*["']([\w-]+)["']""")


def installing(extra: str) -> str:
    """`pip install ...` for an extra: in a clone its own folder, elsewhere what the extra names.

    Layby itself is on no index, so `pip install 'layby[...]'` would find nothing.
    """
    if (_CLONE / "pyproject.toml").is_file():
        here = "." if Path.cwd() == _CLONE else str(_CLONE)
        return f"pip install -e {shlex.quote(f'{here}[{extra}]')}"
    return f"pip install {' '.join(map(shlex.quote, _packages(extra)))}"


def _packages(extra: str) -> list[str]:
    """The requirements of an extra, as this installation knows them."""
    found: list[str] = []
    for requirement in metadata.requires("layby") or []:
        package, _, marker = requirement.partition(";")
        if extra in _EXTRA.findall(marker):
            found.append(package.strip())
    return found
