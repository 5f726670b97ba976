"""What a tool call or a decision changed in the state of its network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ...actors.keys import ROUTE, TURN, Key
from ...actors.state.patch import Op, applied
from ...runtime import entry
from ...runtime.envelope import UNREADABLE, read
from .diff import diff, json_lines
from .node import Node
from .section import Section
from .watched import WatchedRun


class _Input(msgspec.Struct):
    state: dict[str, Any] = {}


class _Changes(msgspec.Struct):
    state: dict[str, Any] = {}
    changes: list[Op] | None = None


_input = msgspec.json.Decoder(_Input).decode
_changes = msgspec.json.Decoder(_Changes).decode


def state_section(run: WatchedRun, node: Node) -> list[Section]:
    """The state before and after a row, if it changed; none otherwise.

    It follows from the changes in the order of the log. Where two writers met, the network's own
    rules had the last word: the record of the network's result has the state at its end. What
    others change during an agent's turn is not the turn's.
    """
    if node.kind not in {"tool", "route", "agent"} or not node.records:
        return []
    network = _network(node)
    opened = _record(run, network.records[0]) if network is not None else None
    if network is None or not isinstance(opened, entry.Called):
        return []
    own = _record(run, node.records[0]) if node.kind == "agent" else None
    frame = own.child if isinstance(own, entry.Called) else ""
    before, after = _states(run, opened, network, node, frame)
    if before == after:
        return []
    lines = diff(json_lines(before), json_lines(after))
    return [Section(id="state", title=f"State of {network.name}", lines=lines)]


def _network(node: Node) -> Node | None:
    found = node.parent
    while found is not None and found.kind != "network":
        found = found.parent
    return found


def _record(run: WatchedRun, where: tuple[int, int]) -> Any:
    envelope = run.envelope(where[0])
    return None if envelope is None else envelope.records[where[1]]


def _ops(record: entry.Stepped) -> list[Op]:
    try:
        found = _changes(record.result)
    except UNREADABLE:
        return []
    if found.changes is not None:
        return found.changes
    return [Op(op="set", path=[key], value=value) for key, value in found.state.items()]


def _states(
    run: WatchedRun, opened: entry.Called, network: Node, node: Node, turn: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The state before and after a row; of a `turn`, with the changes of that frame alone."""
    try:
        state = _input(opened.input).state
    except UNREADABLE:
        state = {}
    last = node.records[-1]
    first = node.records[0] if turn else last
    before = after = state
    begun = False
    for where, record in _steps(run, opened.child, network.records[0][0], last):
        if where >= first and not begun:
            before = after = state
            begun = True
        if begun and turn in {"", record.frame}:
            after = applied(after, _ops(record))
        state = applied(state, _ops(record))
    return before, after


def _steps(
    run: WatchedRun, network: str, n: int, last: tuple[int, int]
) -> Iterator[tuple[tuple[int, int], entry.Stepped]]:
    """The steps that changed the state of a network, from a position on, in order."""
    told: set[int | None] = set()
    for message in run.messages[n - 1 : last[0]]:
        envelope = read(message.data)
        for place, record in enumerate(envelope.records if envelope is not None else ()):
            key = _key(network, record)
            if key is None or not isinstance(record, entry.Stepped) or (message.n, place) > last:
                continue
            if key.kind == ROUTE and key.number in told:
                continue  # a decision repeats what its tools have changed
            if _ops(record):
                told.add(key.decision)
                yield (message.n, place), record


def _key(network: str, record: entry.Record) -> Key | None:
    """The key of a step that may change the state of a network; None: it has another state.

    Turns and decisions of the network have its state; networks and tasks within them do not.
    """
    if not isinstance(record, entry.Stepped):
        return None
    inside = record.frame.removeprefix(f"{network}/")
    turn = Key.parse(inside) if inside != record.frame else None
    is_turn = turn is not None and turn[0].kind == TURN and not turn[1]
    if record.frame != network and not is_turn:
        return None
    found = Key.parse(record.key)
    return found[0] if found is not None and not found[1] else None
