"""What a call or a decision changed in the state of its network, before and after."""

from __future__ import annotations

from typing import Any

from layby.console.waterfall.state_changes import state_section
from layby.runtime.entry import Raw, Returned
from tests.unit.test_waterfall_outline import outcome, response
from tests.waterfall_log import TEAM, TURN, WrittenLog, network, stepped, turn

INPUT = Raw(b'{"input": "go", "state": {"list": ["a"], "kept": 1}}')


def append(*items: str, path: str = "list") -> dict[str, Any]:
    """The changes of an outcome that appends to a list."""
    return {"changes": [{"op": "append", "path": [path], "value": [*items]}]}


def lines(log: WrittenLog, name: str) -> list[str]:
    """What has changed, as a diff."""
    signs = {"old": "-", "new": "+"}
    return [
        f"{signs[line.kind]} {line.text.strip()}"
        for section in state_section(log.run, log.node(name))
        for line in section.lines
        if line.kind in signs
    ]


def team(*calls: str) -> WrittenLog:
    """An agent of the network `team` has called tools."""
    return WrittenLog(network(input=INPUT), turn(), response("model#0", *calls))


def test_a_call_shows_what_it_changed_and_nothing_that_others_did() -> None:
    log = team("one", "two", "three")
    log.add(outcome("tool#0.0", **append("b")))
    log.add(outcome("tool#0.1", changes=[{"op": "set", "path": ["new"], "value": True}]))
    log.add(outcome("tool#0.2"))
    assert lines(log, "one") == ['- "a"', '+ "a",', '+ "b"']
    assert lines(log, "two") == ["- ]", "+ ],", '+ "new": true']
    assert lines(log, "three") == []
    assert state_section(log.run, log.node("one"))[0].title == "State of team"


def test_the_state_of_an_older_log_is_set_key_by_key() -> None:
    log = team("one")
    log.add(outcome("tool#0.0", state={"kept": 2}))
    assert lines(log, "one") == ['- "kept": 1,', '+ "kept": 2,']


def test_a_turn_shows_all_that_changed_in_it() -> None:
    log = team("one", "two")
    log.add(outcome("tool#0.0", **append("b")))
    log.add(outcome("tool#0.1", **append("c")))
    log.add(Returned(frame=TURN))
    assert lines(log, "Anna") == ['- "a"', '+ "a",', '+ "b",', '+ "c"']


def test_what_others_change_during_a_turn_is_not_the_turns() -> None:
    log = team("one")
    log.add(turn(0, 1, name="Bob"))
    log.add(response("model#0", "other", frame=f"{TEAM}/turn#0.1"))
    log.add(outcome("tool#0.0", **append("b")))
    removed: dict[str, Any] = {"changes": [{"op": "remove", "path": ["kept"]}]}
    log.add(outcome("tool#0.0", frame=f"{TEAM}/turn#0.1", **removed))
    log.add(Returned(frame=TURN))
    log.add(Returned(frame=f"{TEAM}/turn#0.1"))
    assert lines(log, "Anna") == ['- "a"', '+ "a",', '+ "b"']
    assert not any('"b"' in line for line in lines(log, "Bob"))
    assert '- "kept": 1,' in lines(log, "Bob")


def test_a_nested_network_has_a_state_of_its_own() -> None:
    log = team("delegate", "after")
    inner = f"{TURN}/tool#0.0/team"
    log.add(network(TURN, "tool#0.0/team", input=Raw(b'{"input": "x", "state": {"list": []}}')))
    log.add(turn(frame=inner, name="Bob"))
    log.add(response("model#0", "inside", frame=f"{inner}/turn#0.0"))
    log.add(outcome("tool#0.0", frame=f"{inner}/turn#0.0", **append("deep")))
    assert lines(log, "inside") == ['- "list": []', '+ "list": [', '+ "deep"', "+ ]"]
    log.add(outcome("tool#0.1", **append("b")))
    assert lines(log, "after") == ['- "a"', '+ "a",', '+ "b"']


def test_what_a_routing_agents_tools_changed_counts_once() -> None:
    log = WrittenLog(network(input=INPUT))
    log.add(response("route#0/model#0", "look", frame=TEAM))
    log.add(outcome("route#0/tool#0.0", frame=TEAM, **append("b")))
    decision = {"agents": ["Anna"], "by": "router", **append("b")}
    log.add(stepped("route#0", decision, frame=TEAM))
    log.add(turn())
    log.add(response("model#0", "one"))
    log.add(outcome("tool#0.0", **append("c")))
    [section] = state_section(log.run, log.node("one"))
    assert sum('"b"' in line.text for line in section.lines if line.kind != "new") == 1


def test_a_row_outside_of_a_network_has_no_state() -> None:
    log = WrittenLog(stepped("pay", append("x")))
    assert state_section(log.run, log.node("pay")) == []
    assert state_section(log.run, log.root) == []


def test_changes_that_make_no_sense_are_passed_over() -> None:
    log = team("odd", "one")
    log.add(outcome("tool#0.0", changes="no list"))
    log.add(outcome("tool#0.1", **append("b")))
    assert lines(log, "odd") == []
    assert lines(log, "one") == ['- "a"', '+ "a",', '+ "b"']


def test_a_log_that_is_gone_shows_no_state() -> None:
    log = team("one")
    log.add(outcome("tool#0.0", **append("b")))
    node = log.node("one")
    log.run.messages.clear()
    assert state_section(log.run, node) == []
