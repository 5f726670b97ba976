"""What is released comes from a tag: the workflow and the script that it runs.

LAYBY_TEST_RELEASE=1 runs the script to its end. Else the workflow does so, before it publishes.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.utils import canonicalize_name

from tests.test_lock import locked

ROOT = Path(__file__).parent.parent
WORKFLOWS = ROOT / ".github" / "workflows"
RELEASE = WORKFLOWS / "release.yml"


def jobs() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(RELEASE.read_text())["jobs"]
    return found


def steps() -> list[dict[str, Any]]:
    return [step for job in jobs().values() for step in job["steps"]]


def test_every_action_is_pinned_by_commit_and_says_which_release_it_is() -> None:
    lines = [line for line in RELEASE.read_text().splitlines() if "uses:" in line]
    assert len(lines) == len([step for step in steps() if "uses" in step])
    for line in lines:
        assert re.search(r"uses: [\w/-]+@[0-9a-f]{40} # v\d+(\.\d+)+$", line), line


def test_both_workflows_use_the_same_releases_of_actions() -> None:
    used: dict[str, set[str]] = {}
    for path in WORKFLOWS.glob("*.yml"):
        for name, commit in re.findall(r"uses: ([\w/-]+)@(\w+)", path.read_text()):
            used.setdefault(name, set()).add(commit)
    assert {name for name, commits in used.items() if len(commits) > 1} == set()


def test_nothing_is_published_before_everything_is_checked_and_built() -> None:
    assert yaml.safe_load(RELEASE.read_text())["permissions"] == {"contents": "read"}
    for name, job in jobs().items():
        publishes = name in {"pypi", "image"}
        assert ("environment" in job) is publishes, "people approve what is published"
        assert (job.get("permissions", {}).get("id-token") == "write") is publishes
        assert set(job.get("needs", [])) == ({"check", "build"} if publishes else set())


def test_no_secret_is_needed_and_no_checkout_keeps_its_token() -> None:
    assert "secrets." not in RELEASE.read_text()
    checkouts = [step for step in steps() if "checkout" in step.get("uses", "")]
    assert len(checkouts) == 3
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_what_is_built_and_checked_knows_its_tag_and_the_release_before() -> None:
    for name in ("check", "build"):
        [checkout] = [each for each in jobs()[name]["steps"] if "checkout" in each.get("uses", "")]
        assert checkout["with"]["fetch-depth"] == 0
    ran = " ".join(step.get("run", "") for step in steps())
    for word in (".ci/run", ".ci/release", "LAYBY_UPGRADE_FROM", "LAYBY_TEST_CONTAINERS=1"):
        assert word in ran


def test_the_image_is_built_on_a_digest_and_says_its_version() -> None:
    [push] = [step for step in jobs()["image"]["steps"] if "build-push" in step.get("uses", "")]
    arguments = push["with"]["build-args"]
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    for name in re.findall(r"^(\w+)=", arguments, re.MULTILINE):
        assert re.search(rf"^ARG {name}\b", dockerfile, re.MULTILINE), name
    assert "PYTHON=${{ steps.base.outputs.python }}" in arguments
    assert push["with"]["sbom"] is True


class Clone:
    """A clone of what is committed here, to be tagged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("clone", "-q", "--no-tags", str(ROOT), str(folder), cwd=ROOT)

    def git(self, *words: str, cwd: Path | None = None) -> None:
        names = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        command = ("git", *names, *words)
        subprocess.run(command, cwd=cwd or self.folder, check=True, capture_output=True)  # noqa: S603

    def release(self, within: float = 30) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603
            [str(self.folder / ".ci" / "release")],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    try:
        return Clone(tmp_path / "clone")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this is no clone of git's: {error}")


def entry(clone: Clone) -> None:
    path = clone.folder / "CHANGELOG.md"
    path.write_text(path.read_text().replace("## Unreleased\n", "## 9.8.7 (2030-01-01)\n", 1))


def test_no_release_without_a_tag_an_entry_or_a_commit(clone: Clone) -> None:
    assert "this commit has no tag" in clone.release().stderr
    clone.git("tag", "v9.8.7")
    assert "CHANGELOG.md has no section '## 9.8.7'" in clone.release().stderr
    entry(clone)
    refused = clone.release()
    assert refused.returncode == 1
    assert "not committed" in refused.stderr
    assert not (clone.folder / "dist").exists()


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_a_tag_becomes_an_sdist_a_wheel_and_a_list_of_packages(clone: Clone) -> None:
    if os.environ.get("LAYBY_TEST_RELEASE") != "1":
        pytest.skip("LAYBY_TEST_RELEASE=1 runs this: it builds and installs everything once more")
    entry(clone)
    clone.git("commit", "-qam", "9.8.7")
    clone.git("tag", "v9.8.7")
    built = clone.release(within=500)
    assert built.returncode == 0, built.stdout + built.stderr
    assert {path.name for path in (clone.folder / "dist").iterdir()} == {
        "layby-9.8.7.tar.gz",
        "layby-9.8.7-py3-none-any.whl",
    }
    with zipfile.ZipFile(clone.folder / "dist" / "layby-9.8.7-py3-none-any.whl") as wheel:
        names = wheel.namelist()
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"layby", "layby-9.8.7.dist-info"}
    assert "layby/runtime/journal.py" in names
    assert "layby/console/templates/base.html" in names
    bom = json.loads((clone.folder / "sbom" / "layby-9.8.7.cdx.json").read_text())
    assert bom["bomFormat"] == "CycloneDX"
    listed = {str(canonicalize_name(each["name"])): each["version"] for each in bom["components"]}
    assert listed["layby"] == "9.8.7"
    assert listed["nats-py"] == locked()["nats-py"]
    elsewhere = {"colorama", "exceptiongroup", "httpx2-jsfetch"}  # on Windows, and in browsers
    assert {name for name in locked() if name not in listed} <= elsewhere
    [edges] = [each for each in bom["dependencies"] if each["ref"].startswith("layby")]
    assert any("nats-py" in each for each in edges["dependsOn"])
