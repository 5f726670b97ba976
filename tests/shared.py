"""Forks the processes that share the tests from one that has imported all files of tests.

Six processes that each import them for themselves take half a minute of CPU time more.

`python -P -m tests.shared DOOR ARGUMENTS` takes the arguments of pytest, imports what pytest would
read with them, and listens on the Unix socket DOOR, as tests/nursery.py does. pytest-xdist starts
tests/stand_in.py in the place of each interpreter.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from tests.nursery import Nursery, Order, be_new, import_all, take_over

ROOT = Path(__file__).parent.parent
_SDKS = ("openai.resources.chat", "openai.resources.responses")
"""What is imported when a test first uses it, and takes long."""


class Reading:
    """A plugin that imports files in the place of reading their tests."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> bool:
        from tests.pace import files_of  # noqa: PLC0415  as pytest has rewritten it

        files = files_of(session.config)
        with _begun_at_the_end(files):
            import_all()
            _import(files)
        return True


@contextlib.contextmanager
def _begun_at_the_end(files: Sequence[Path]) -> Generator[None]:
    """Have another process import the files, the last one first.

    What pytest has rewritten and compiled, it finds again: a fresh clone takes half as long.
    """
    pid = os.fork()
    if pid == 0:
        try:
            _import(reversed(files))
        finally:
            os._exit(0)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _import(files: Iterable[Path]) -> None:
    """Import files under the names by which pytest will ask for them."""
    for path in files:
        parts = path.relative_to(ROOT).with_suffix("").parts
        # What is wrong with it is told by whoever reads its tests.
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(".".join(parts))
    for name in _SDKS:
        importlib.import_module(name)


def _ours() -> set[tuple[str, str]]:
    """The variables of Layby's tests."""
    return {each for each in os.environ.items() if each[0].startswith("LAYBY_")}


def serve(door: str, *arguments: str) -> None:
    """Import all, and then fork until stdin closes."""
    nursery = Nursery(door)  # before the imports, so that who comes meanwhile waits
    os.chdir(ROOT)
    given = _ours()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
        pytest.main([*arguments, "-n=0", "-p", "no:cacheprovider"], [Reading()])
    assert _ours() == given, f"an import has set {_ours() - given}, and forks would not have that"
    assert threading.active_count() == 1, f"a fork would miss {threading.enumerate()}"
    gc.collect()
    gc.freeze()
    order = nursery.serve()
    if order is not None:
        code = 1
        try:
            code = _share(order)
        finally:
            os._exit(code)


def _share(order: Order) -> int:
    """Be the interpreter that pytest-xdist has asked for."""
    take_over(order)
    if (
        "layby.runtime" in sys.modules
    ):  # it is not if pytest refused its arguments: it says so again
        be_new()
    main = ModuleType("__main__")
    sys.modules["__main__"], sys.argv = main, ["-c"]
    exec(eval(sys.stdin.readline()), vars(main))  # noqa: S102, S307  as xdist's own CODE does
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    return 0


if __name__ == "__main__":
    serve(*sys.argv[1:])
