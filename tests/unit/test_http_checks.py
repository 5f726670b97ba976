"""What the HTTP API decides without a server: who may do what, and what was missed."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from layby.client import Client
from layby.console.api import change_log
from layby.console.api.change_log import ChangeLog
from layby.console.api.operation import Right, check_right
from layby.console.api.problem import NotAllowed
from layby.console.catalogue.catalogue import Catalogue
from layby.console.catalogue.entries import Change
from layby.console.catalogue.feed import Feed
from layby.console.login.session import VIEWER, Rights, Session

NOBODY = Rights(view=False, roles=frozenset(), operate=False)
RESPONDER = Rights(view=False, roles=frozenset({"lead"}), operate=False)
OPERATOR = Rights()


def session(rights: Rights) -> Session:
    return Session(name="ada", rights=rights, client=cast("Client", None))


@pytest.mark.parametrize(
    ("rights", "may"),
    [
        (NOBODY, {"public", "session"}),
        (VIEWER, {"public", "session", "view"}),
        (RESPONDER, {"public", "session", "answer"}),
        (OPERATOR, {"public", "session", "view", "answer", "operate"}),
    ],
)
def test_a_session_may_do_what_its_rights_say(rights: Rights, may: set[Right]) -> None:
    every: list[Right] = ["public", "session", "view", "answer", "operate"]
    for right in every:
        if right in may:
            check_right(right, session(rights), read_only=False)
            continue
        with pytest.raises(NotAllowed, match="'ada' is a"):
            check_right(right, session(rights), read_only=False)


def test_a_read_only_console_says_that_it_is_one() -> None:
    with pytest.raises(NotAllowed, match="--read-only"):
        check_right("operate", session(VIEWER), read_only=True)


class _Source:
    """Tells changes as the catalogue does."""

    def __init__(self) -> None:
        self._feed = Feed()
        self.changes = self._feed.listen

    def tell(self, *ids: str, kind: Any = "run") -> None:
        self._feed.tell([Change(kind=kind, id=each) for each in ids])


async def test_of_each_thing_the_last_change_is_known() -> None:
    source, stopping = _Source(), asyncio.Event()
    log = ChangeLog(cast("Catalogue", source), stopping)
    await log.listen()
    start = log.place(log.number(log.now))
    assert start == 0
    source.tell("a", "b")
    await log.changed(1)
    source.tell("a")
    await log.changed(2)
    assert [(each.id, each.seq) for each in log.since(start) or ()] == [("b", 2), ("a", 3)]
    assert [each.id for each in log.since(2) or ()] == ["a"]
    assert log.since(3) == []
    stopping.set()


async def test_what_is_forgotten_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_log, "_KEPT", 2)
    source, stopping = _Source(), asyncio.Event()
    log = ChangeLog(cast("Catalogue", source), stopping)
    await log.listen()
    source.tell("a", "b", "c")
    await log.changed(2)
    assert log.since(0) is None
    assert log.place(log.number(0)) is None
    assert [each.id for each in log.since(1) or ()] == ["b", "c"]
    source.tell("", kind="progress")  # anything may have changed
    await log.changed(3)
    assert log.since(3) is None
    assert log.since(4) == []
    stopping.set()


@pytest.mark.parametrize(
    "number", ["", "x", "-", "-1", "1", "{begun}-", "{begun}-x", "{begun}-9", "{begun}--1"]
)
async def test_a_number_that_it_has_not_given_is_none(number: str) -> None:
    log = ChangeLog(cast("Catalogue", _Source()), asyncio.Event())
    begun = log.number(0).partition("-")[0]
    assert log.place(number.format(begun=begun)) is None
    assert log.place(log.number(0)) == 0
