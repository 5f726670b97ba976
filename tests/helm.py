"""Renders the chart in deploy/helm; `python -m tests.helm` writes deploy/kubernetes/layby.yaml."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm"
EXAMPLES = CHART / "examples"
RENDERED = DEPLOY / "kubernetes" / "layby.yaml"
ONE_NODE = (EXAMPLES / "one-node.yaml", EXAMPLES / "scaling.yaml")
THREE_NODES = (EXAMPLES / "three-nodes.yaml",)
ACCOUNTS = ("--set-file", f"server.accounts={DEPLOY / 'accounts.conf'}")
_HEAD = """\
# Everything of one node, for kubectl: README.md says what it needs. Rendered by
# `python -m tests.helm` from the chart in ../helm: change that, or the values, and not this file.
"""


def binary() -> str | None:
    """The helm that is installed, or that `.ci/run` has built."""
    return shutil.which("helm") or shutil.which("helm", path=ROOT / ".ci" / "bin")


def built(name: str) -> Path:
    """What `.ci/run` has made beside helm; without it the test is skipped."""
    path = ROOT / ".ci" / "bin" / name
    if not path.exists():
        pytest.skip(f"there is no .ci/bin/{name}: `.ci/run` makes it where Go is")
    return path


def helm(*words: str) -> subprocess.CompletedProcess[str]:
    """Run helm to its end; without helm the test is skipped."""
    found = binary()
    if found is None:
        pytest.skip("helm is not on PATH: `.ci/run` builds it where Go is")
    return subprocess.run(  # noqa: S603
        [found, *words], capture_output=True, text=True, check=False, timeout=60, cwd=ROOT
    )


def template(*words: str, values: tuple[Path, ...] = ()) -> subprocess.CompletedProcess[str]:
    """`helm template` of a release called layby."""
    files = [word for path in values for word in ("-f", str(path))]
    return helm("template", "layby", str(CHART), "--namespace", "layby", *files, *words)


def text(*words: str, values: tuple[Path, ...] = ()) -> str:
    """What the chart makes of these values."""
    ended = template(*words, values=values)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def documents(*words: str, values: tuple[Path, ...] = ()) -> list[Any]:
    """The same, read."""
    return [each for each in yaml.safe_load_all(text(*words, values=values)) if each]


def refused(*words: str, values: tuple[Path, ...] = ()) -> str:
    """Why the chart makes nothing of these values."""
    ended = template(*words, values=values)
    assert ended.returncode != 0, ended.stdout
    return ended.stderr


def of_kind(found: list[Any], kind: str) -> dict[str, Any]:
    """The documents of one kind, by name."""
    return {each["metadata"]["name"]: each for each in found if each["kind"] == kind}


def pod_of(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """The pod that a document makes; None: it makes none."""
    spec: dict[str, Any] = document.get("spec") or {}
    if document["kind"] == "Pod":
        return spec
    spec = spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec
    found: dict[str, Any] | None = spec.get("template", {}).get("spec")
    return found


def rendered() -> str:
    """The text of deploy/kubernetes/layby.yaml."""
    values = (*ONE_NODE, DEPLOY / "kubernetes" / "values.yaml")
    lines = text("--skip-tests", values=values).splitlines()
    return _HEAD + "".join(f"{line}\n" for line in lines if line and not re.match("# Source", line))


if __name__ == "__main__":
    RENDERED.write_text(rendered())
