"""The coding agent: no write without a person, and what was approved is what is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from examples.coding_agent.app import app
from examples.coding_agent.offline import RAISES, ZERO
from examples.coding_agent.workspace import Workspace
from layby import ToolError
from layby.testing import TestRuntime

pytestmark = pytest.mark.nats

Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]
TASK = {"id": "C1", "task": "mean([]) crashes: guard it."}


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """What the agent works on."""
    monkeypatch.setenv("LAYBY_WORKSPACE", str(tmp_path / "code"))
    return Workspace.from_env()


async def test_an_approved_change_is_written(layby_running: Running, code: Workspace) -> None:
    before = code.read("stats.py")
    async with layby_running(app) as rt:
        await rt.send("code.task", TASK)
        question = await rt.question(role="reviewer")
        assert "May Coder call write_file(" in question.question
        assert "\n".join(f"  | {line}" for line in ZERO.split("\n")) in question.context
        assert code.read("stats.py") == before
        assert (await rt.answer("C1", "approve", by="ada")).outcome == "accepted"
        done = await rt.result()
    assert (done["written"], done["rejected"]) == (["stats.py"], 0)
    assert "No problems." in done["said"]
    assert code.read("stats.py") == ZERO


async def test_a_rejected_change_is_proposed_differently(
    layby_running: Running, code: Workspace
) -> None:
    async with layby_running(app) as rt:
        await rt.send("code.task", TASK)
        first = await rt.question()
        await rt.answer("C1", "reject: the mean of nothing is an error", by="ada")
        again = await rt.question()
        assert again.id != first.id
        await rt.answer("C1", "approve", by="ada")
        done = await rt.result()
    assert (done["written"], done["rejected"]) == (["stats.py"], 1)
    assert code.read("stats.py") == RAISES


async def test_a_reviewer_may_edit_what_is_written(layby_running: Running, code: Workspace) -> None:
    async with layby_running(app) as rt:
        await rt.send("code.task", TASK)
        edited = {"edit": {"name": "stats.py", "text": "# mine\n"}}
        await rt.answer("C1", json.dumps(edited), by="ada")
        await rt.result()
    assert code.read("stats.py") == "# mine\n"


async def test_silence_writes_nothing(layby_running: Running, code: Workspace) -> None:
    before = code.read("stats.py")
    async with layby_running(app) as rt:
        await rt.send("code.task", TASK)
        assert (await rt.advance()).kind == "question"
        assert (await rt.advance()).kind == "question"
        done = await rt.result()
    assert (done["written"], done["rejected"]) == ([], 2)
    assert done["said"].startswith("I stopped: ")
    assert code.read("stats.py") == before


@pytest.mark.slow
async def test_a_worker_that_dies_after_the_approval(
    layby_running: Running, code: Workspace
) -> None:
    async with layby_running("examples.coding_agent:app", workers=0) as rt:
        await rt.send("code.task", TASK)
        async with rt.crashing("after_record_closed"):
            await rt.answer("C1", "approve")
        async with rt.worker():
            assert (await rt.result())["written"] == ["stats.py"]
    assert code.read("stats.py") == ZERO


@pytest.mark.parametrize("name", ["../secret.py", "/etc/passwd", "a/../../b.py"])
def test_the_workspace_ends_at_its_folder(code: Workspace, name: str) -> None:
    with pytest.raises(ToolError, match="outside the workspace"):
        code.read(name)
    with pytest.raises(ToolError, match="outside the workspace"):
        code.write(name, "")


def test_what_the_workspace_refuses(code: Workspace) -> None:
    with pytest.raises(ToolError, match=r"no file 'x\.py'; there are: stats\.py"):
        code.read("x.py")
    with pytest.raises(ToolError, match="only Python files"):
        code.write("x.sh", "rm")
    code.write("sub/broken.py", "def")
    assert code.files() == ["stats.py", "sub/broken.py"]
    assert code.problems("sub/broken.py").startswith("sub/broken.py:1: ")
