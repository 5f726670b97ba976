"""A real PostgreSQL for the session: LAYBY_TEST_POSTGRES names one, else Debian's packages do."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = 0


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Where it is; skips where there is none."""
    if url := os.environ.get("LAYBY_TEST_POSTGRES"):
        yield url
        return
    programs = _programs()
    if programs is None:
        pytest.skip(
            "there is no PostgreSQL: install Debian's postgresql, or set LAYBY_TEST_POSTGRES"
        )
    user = _user()
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "data"
        if user:
            shutil.chown(folder, user)
        _run(user, programs / "initdb", "-D", data, "-A", "trust", "-U", "layby", "--no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        control = (programs / "pg_ctl", "-D", data, "-w", "-l", Path(folder) / "log")
        _run(user, *control, "-o", options, "start")
        try:
            yield f"host={folder} user=layby dbname=postgres"
        finally:
            _run(user, *control, "-m", "immediate", "stop")


def _programs() -> Path | None:
    """The folder of PostgreSQL's programs, the newest version's."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: p.parts[-3])
    if found:
        return found[-1].parent
    there = shutil.which("initdb")
    return Path(there).resolve().parent if there else None


def _user() -> str | None:
    """Whom PostgreSQL must run as, for it refuses to run as root."""
    if os.geteuid() != _ROOT:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")


def _run(user: str | None, *command: str | Path) -> None:
    done = subprocess.run(  # noqa: S603
        [str(word) for word in command],
        user=user,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
