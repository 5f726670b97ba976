"""The page for people who come from AgentKit: its code can be imported, its options exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "coming-from-agentkit.md").read_text()
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(_PYTHON.findall(PAGE))))
def test_its_code_runs(number: int) -> None:
    code = _PYTHON.findall(PAGE)[number]
    done = subprocess.run(
        [sys.executable, "-"], cwd=ROOT, input=code, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_its_excerpts_are_those_of_the_example() -> None:
    example = (ROOT / "examples" / "from_agentkit" / "app.py").read_text()
    excerpts = re.findall(r"^```py\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert excerpts
    parts = [part for excerpt in excerpts for part in excerpt.split("\n\n\n")]
    assert [part for part in parts if part.strip() not in example] == []


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (
            "from layby import Agent as it",
            "system tools model tool_choice max_steps stop_when enabled output_type history",
        ),
        (
            "from layby import Agent as it",
            "on_start on_response on_finish before_tool after_tool max_parallel_tools concurrency",
        ),
        (
            "from layby import Network as it",
            "agents router default_model max_turns state budget at_limit concurrency",
        ),
        ("from layby import RoutingAgent as it", "system rules model"),
        ("from layby import App; it = App.workflow", "on key version on_failure timeout cancel_on"),
        ("from layby import Step; it = Step.ask", "answer default timeout context"),
        ("from layby import Step; it = Step.wait_for_event", "match timeout"),
        ("from layby import Step; it = Step.network", "state thread attachments"),
        ("from layby import App as it", "networks roles retry history"),
        ("from layby.client import Client; it = Client.send", "event_id"),
    ],
)
def test_its_options_exist(owner: str, names: str) -> None:
    found: dict[str, object] = {}
    exec(f"{owner}\nfrom inspect import signature\nknown = set(signature(it).parameters)", found)  # noqa: S102
    known = found["known"]
    assert isinstance(known, set)
    assert set(names.split()) <= known


def test_its_verbs_exist() -> None:
    from layby import Step  # noqa: PLC0415
    from layby.client import Client  # noqa: PLC0415

    verbs = set(re.findall(r"`(?:await )?step\.([a-z_]+)\(", PAGE))
    assert verbs
    assert {verb for verb in verbs if not hasattr(Step, verb)} == set()
    calls = set(re.findall(r"`?client\.([a-z_]+)\(", PAGE))
    assert {call for call in calls if not hasattr(Client, call)} == set()
