"""What an agent or network refuses when it is declared."""

from __future__ import annotations

import dataclasses
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from layby import Agent, App, Network, RoutingAgent, Tokens, tool
from layby.runtime.errors import InvalidSetup


@tool
def look() -> None: ...


@tool(name="final_answer")
def clash() -> None: ...


class Plain: ...


class State(BaseModel):
    n: int = 0


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"name": " "}, "needs a name"),
        ({"tools": [look, look]}, "two tools named 'look'"),
        ({"max_steps": 0}, "max_steps must be at least 1"),
        ({"max_parallel_tools": 0}, "max_parallel_tools must be at least 1"),
        ({"concurrency": 0}, "concurrency must be at least 1"),
        ({"output_tries": 0}, "output_tries must be at least 1"),
        ({"tool_choice": "loko"}, "give one of auto, any, none"),
        ({"history": "mine"}, "history='mine': give 'shared', 'own'"),
        ({"output_type": Plain}, "is not possible"),
        ({"output_type": State, "tools": [clash]}, "a tool named 'final_answer'"),
    ],
)
def test_a_bad_agent_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidSetup, match=why):
        Agent(options.pop("name", "A"), **options)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"agents": []}, "has no agents"),
        ({"agents": [Agent("A"), Agent("A")]}, "two agents of the same name"),
        ({"max_turns": 0}, "max_turns must be at least 1"),
        ({"concurrency": 0}, "concurrency must be at least 1"),
        ({"budget": Tokens(0)}, "budget=0: give 1 or more"),
        ({"state": int}, "a state needs named fields"),
        ({"state": Plain}, "a state cannot have the type"),
    ],
)
def test_a_bad_network_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidSetup, match=why):
        Network("n", agents=options.pop("agents", [Agent("A")]), **options)


def test_the_initial_state_must_fit() -> None:
    network = Network("n", agents=[Agent("A")], state=State)
    with pytest.raises(InvalidSetup, match="the initial state does not fit: n: Input should be"):
        network.task("go", {"n": "many"})
    assert network.task("go").state == {"n": 0}
    assert network.task("go", State(n=3)).state == {"n": 3}


def test_two_agents_with_the_same_name_in_subjects_are_refused() -> None:
    networks = [
        Network("a", agents=[Agent("Help Desk")]),
        Network("b", agents=[Agent("help desk")]),
    ]
    with pytest.raises(InvalidSetup, match="share the mailbox"):
        App("x", networks=networks)


def test_an_app_needs_a_workflow() -> None:
    with pytest.raises(InvalidSetup, match="concurrency must be at least 1"):
        App("x", concurrency=0)


def test_a_nested_network_is_found_once() -> None:
    agent = Agent("A")
    inner = Network("inner", agents=[agent])
    outer = Network("outer", agents=[agent, inner], router=RoutingAgent("r"))
    app = App("x", networks=[outer, inner])
    assert sorted(app.networks) == ["inner", "outer"]
    assert [a.name for a in app.agents.values()] == ["A"]


def test_the_code_in_the_documents_works(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "agents.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    code = tmp_path / "agents_page.py"
    code.write_text("\n".join(["from __future__ import annotations", *blocks]))
    names = runpy.run_path(str(code), run_name="agents_page")
    declared = {value.name for value in names.values() if isinstance(value, Agent | Network)}
    assert {"Clerk", "Judge", "investigation", "complaints", "office"} <= declared
    assert names["refund"].needs_approval == "manager"


def test_an_agent_with_another_model_keeps_everything_else() -> None:
    agent = Agent("A", output_type=State, tools=[look])
    other = dataclasses.replace(agent, max_steps=2)
    assert [spec.name for spec in other.specs()] == ["look", "final_answer"]
