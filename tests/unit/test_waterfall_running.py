"""What goes on now has a row that grows, although nothing of it is recorded."""

from __future__ import annotations

from layby.console.waterfall.node import Node
from layby.runtime.entry import ROOT, Blocked, Ended, Record, Returned, Slept, Withdrawn
from layby.runtime.streaming import TextDelta
from tests.unit.test_waterfall_outline import outcome, response
from tests.waterfall_log import TEAM, TURN, WrittenLog, asked, draw, network, stepped, tried, turn


def drawn(log: WrittenLog) -> list[str]:
    """The rows without a record."""
    return [draw(node) for node in log.run.live]


def hear(log: WrittenLog, step: str, text: str, answer: str = "a") -> None:
    """A model says something."""
    delta = TextDelta(
        id="1", run="r1", at="", step=step, answer=answer, index=0, after=1, text=text
    )
    log.run.hear(delta)


def only(nodes: list[Node]) -> Node:
    [node] = nodes
    return node


def test_a_workflow_that_waits_for_nothing_has_its_next_step_under_way() -> None:
    log = WrittenLog()
    assert drawn(log) == ["  step next step (running) | work 0-"]
    log.add(stepped("first"))
    assert drawn(log) == ["  step next step (running) | work 10-"]


def test_what_waits_has_no_next_step() -> None:
    waits: list[Record] = [
        asked(),
        Slept(frame=ROOT, key="nap", until=99.0),
        tried("pay", 99.0),
    ]
    for wait in waits:
        assert drawn(WrittenLog(wait)) == []


def test_a_network_decides_and_an_agent_asks_its_model() -> None:
    log = WrittenLog(network())
    assert drawn(log) == ["    route team (running) | work 10-"]
    log.add(turn())
    assert drawn(log) == ["      model model (running) | work 20-"]
    log.add(response("model#0", "search"))
    assert drawn(log) == []
    log.add(outcome("tool#0.0"))
    assert drawn(log) == ["      model gpt (running) | work 40-"]
    log.add(response("model#1"))
    assert drawn(log) == ["      step next step (running) | work 50-"]
    log.add(Returned(frame=TURN))
    assert drawn(log) == ["    route team (running) | work 60-"]


def test_parallel_turns_each_go_on_for_themselves() -> None:
    log = WrittenLog(network(), turn(), turn(0, 1, name="Bob"), response())
    log.add(Withdrawn(frame=TEAM, key="turn#0.0"))
    assert [node.parent and node.parent.name for node in log.run.live] == ["Bob"]


def test_nothing_goes_on_in_a_run_that_is_over_or_a_frame_that_is_blocked() -> None:
    blocked = Blocked(cause=3, frame=TURN, kind="setup", reason="no model", needs="one")
    assert drawn(WrittenLog(network(), turn(), blocked)) == []
    assert drawn(WrittenLog(Ended(status="completed"))) == []


def test_a_model_that_speaks_keeps_its_row_until_it_has_a_record() -> None:
    log = WrittenLog(network(), turn())
    silent = only(log.run.live)
    hear(log, "team/turn#0.0/model#0", "Hel")
    speaking = only(log.run.live)
    assert draw(speaking) == "      model model (speaking) | work 20-"
    assert speaking.id == silent.id
    assert log.run.text_of(speaking) == "Hel"
    hear(log, "team/turn#0.0/model#0", "lo")
    assert log.run.text_of(speaking) == "Hello"
    hear(log, "team/turn#0.0/model#0", "Again", answer="b")
    assert log.run.text_of(speaking) == "Again"
    log.add(response())
    assert log.run.find(speaking.id) is log.node("gpt")
    assert log.run.texts == {}
    hear(log, "team/turn#0.0/model#0", "too late", answer="b")
    assert log.run.texts == {}


def test_a_live_row_is_found_by_its_id() -> None:
    log = WrittenLog(network(), turn())
    row = only(log.run.live)
    found = log.run.find(row.id)
    assert found is not None
    assert found.name == row.name
    assert log.run.find("live:0") is None
    assert log.run.text_of(log.root) == ""


def test_the_id_of_a_live_row_is_short_whatever_its_step_is_called() -> None:
    deep = "/".join(["team"] * 40)
    log = WrittenLog(network(key=deep))
    assert len(only(log.run.live).id) < 64


def test_a_text_without_end_is_cut() -> None:
    log = WrittenLog(network(), turn())
    for _ in range(5):
        hear(log, "team/turn#0.0/model#0", "x" * 100_000)
    assert len(log.run.text_of(only(log.run.live))) == 256 * 1024
