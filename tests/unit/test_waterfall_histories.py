"""Histories of real runs, whole and cut off anywhere, become rows that hold together."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from layby.client import Client
from layby.console.waterfall.chart import chart
from layby.console.waterfall.facts import facts
from layby.console.waterfall.look import Look
from layby.console.waterfall.node import every
from layby.console.waterfall.watched import WatchedRun
from tests.waterfall_log import draw, read

FOLDER = Path(__file__).parents[1] / "histories"
HISTORIES = sorted(FOLDER.glob("**/*.json"))


def parts_of(run: WatchedRun) -> list[WatchedRun]:
    """The run as it was after each of its messages."""
    return [again(run, last) for last in range(1, len(run.messages) + 1)]


def again(run: WatchedRun, last: int) -> WatchedRun:
    """The same up to a message."""
    made = WatchedRun(cast("Client", None), run.id)
    for message in run.messages[:last]:
        made.take(message)
    return made


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_rows_hold_together_at_any_time(path: Path) -> None:
    for run in parts_of(read(path)):
        root = run.outline.root
        assert root is not None
        rows = [*every(root, live=run.live)]
        assert len({node.id for node in rows}) == len(rows)
        for node in rows:
            assert node.parent is None or node.level == node.parent.level + 1
            assert node.end is None or node.end >= node.start
            for part in node.parts:
                assert part.end is None or part.end >= part.start
            if run.ended:
                assert node.end is not None, draw(node)
        assert bool(run.ended) == (root.end is not None)
        now = run.state.updated_at
        of = chart(root, Look(), now, running=not run.ended, live=run.live)
        assert of.rows == rows
        spent = facts(root, now)
        assert min(spent.age, spent.worked, spent.queued, spent.backed_off, spent.asked) >= 0


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_something_goes_on_or_is_waited_for_until_the_end(path: Path) -> None:
    for run in parts_of(read(path)):
        root = run.outline.root
        assert root is not None
        grows = [node for node in every(root) if any(part.end is None for part in node.parts)]
        assert run.ended or run.live or grows or run.state.blocked


def test_a_ticket_of_the_support_agent_is_drawn_as_it_was() -> None:
    [path] = FOLDER.glob("support_agent/T123.json")
    assert [draw(node).split(" | ")[0] for node in every(read(path).outline.by_id["1.0"])] == [
        "workflow support_ticket",
        "  step get_ticket_details",
        "  network support (network)",
        "    route support (Customer Support (Supervisor: The customer asks how to do something.))",
        "    agent Customer Support (turn 1)",
        "      model offline-script (1st)",
        "      tool search_knowledge_base",
        "      tool search_latest_release_notes",
        "      model offline-script (2nd)",
        "      tool update_ticket",
        "      tool reply_to_customer",
        "    route support (done (rule: The customer has a reply.))",
        "  step settle_ticket",
    ]
