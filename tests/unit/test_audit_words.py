"""What the audit trail says a command is about, and what it makes of outcomes that are damaged."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from layby.actors.people.rota import Window
from layby.bus.errors import InvalidTicket
from layby.bus.names import Names
from layby.commands import (
    DEAD_DROP,
    DEAD_RETRY,
    ERASE,
    NOBODY,
    PURGE,
    RETRY,
    ROTA,
    VERBS,
    Command,
    InvalidCommand,
    NotDoneYet,
    command_subject,
    heartbeat_subject,
    outcome_subject,
    parse_subject,
    read_command,
)
from layby.views.audit_trail import describe

PLAIN, SHOP = Names(), Names("shop")


def shift(person: str) -> Window:
    return Window(person=person, start="2026-11-30T09:00", end="2026-11-30T17:00")


@pytest.mark.parametrize(
    ("verb", "fields", "says"),
    [
        ("cancel", {"run": "3f9a"}, "run 3f9a"),
        (RETRY, {"run": "3f9a", "workflow": "pay"}, "run 3f9a"),
        (RETRY, {"workflow": "pay"}, "all runs of pay"),
        (RETRY, {"workflow": "pay", "status": "failed"}, "all failed runs of pay"),
        (
            RETRY,
            {"workflow": "pay", "status": "failed", "since": 3600.0},
            "all failed runs of pay of the last 1 h",
        ),
        (PURGE, {"older_than": 86400.0}, "runs that ended 1 d before"),
        (PURGE, {"older_than": 0.0}, "runs that ended 0 s before"),
        (PURGE, {}, ""),
        (ERASE, {"run": "3f9a"}, "run 3f9a"),
        (ERASE, {"person": "p-12"}, "the key of person p-12"),
        (ERASE, {"thread": "T1", "app": "desk"}, "thread T1 of desk"),
        (ERASE, {}, ""),
        (DEAD_RETRY, {"letter": 12}, "dead letter 12"),
        (DEAD_DROP, {"letter": 12}, "dead letter 12"),
        (DEAD_DROP, {}, ""),
        ("frobnicate", {}, ""),
        ("frobnicate", {"letter": 12}, ""),
    ],
)
def test_a_command_says_what_it_is_about(verb: str, fields: dict[str, Any], says: str) -> None:
    assert describe(verb, Command(**fields)) == says


def test_a_change_of_a_rota_shows_its_first_three_entries() -> None:
    added, removed = (shift("ada"), shift("bob")), (shift("cy"), shift("di"))
    said = describe(ROTA, Command(rota="desk", add=added, remove=removed))
    assert said.startswith(f"shifts of desk: + {added[0]}; + {added[1]}; - {removed[0]}")
    assert said.endswith(" and 1 more")
    assert "di" not in said
    three = describe(ROTA, Command(add=added, remove=removed[:1]))
    assert three.startswith("absences: ")
    assert "more" not in three


def test_the_subject_of_a_command_says_who_gives_it() -> None:
    for names in (PLAIN, SHOP):
        for by in ("ada", "Ada Lovelace", "ada@example.com", "grüße"):
            for verb in VERBS:
                assert parse_subject(names, command_subject(names, verb, by)) == (verb, by)


@pytest.mark.parametrize("subject", ["layby.do.cancel.=", "layby.do.cancel", "layby.do.cancel.=zz"])
def test_a_name_that_cannot_be_read_is_nobodys(subject: str) -> None:
    assert parse_subject(PLAIN, subject) == ("cancel", NOBODY)
    with pytest.raises(InvalidCommand, match="is not a name"):
        read_command(PLAIN, subject, b"{}", 1, 1.0)


def test_a_subject_without_a_verb_has_none() -> None:
    assert parse_subject(PLAIN, "layby.do") == ("", NOBODY)


@pytest.mark.parametrize("name", ["", "x" * 201])
def test_what_cannot_be_a_name_is_refused_without_repeating_all_of_it(name: str) -> None:
    with pytest.raises(InvalidTicket, match="use 1 to 200 characters") as refused:
        command_subject(PLAIN, "cancel", name)
    assert len(str(refused.value)) < 120


def test_a_command_is_read_with_its_place_in_the_stream() -> None:
    data = msgspec.json.encode(Command(run="3f9a", why="a duplicate"))
    stored = read_command(SHOP, "shop.layby.do.cancel.ada", data, 7, 12.3456)
    assert (stored.verb, stored.by, stored.id) == ("cancel", "ada", "7@12.346")
    assert stored.command.why == "a duplicate"


@pytest.mark.parametrize(
    ("verb", "data", "why"),
    [
        ("frobnicate", b"{}", "this release knows no command 'frobnicate'"),
        ("x" * 99, b"{}", "knows no command '" + "x" * 40 + "'"),
        ("cancel", b"[]", "the body is not a command"),
        ("cancel", b"\xff", "the body is not a command"),
        ("purge", b'{"older_than": "1d"}', "the body is not a command"),
    ],
)
def test_a_command_that_cannot_be_understood_says_why(verb: str, data: bytes, why: str) -> None:
    with pytest.raises(InvalidCommand, match=why):
        read_command(PLAIN, f"layby.do.{verb}.ada", data, 1, 1.0)


@pytest.mark.parametrize(
    ("verb", "fields", "long"),
    [
        ("cancel", {"run": "r"}, False),
        (RETRY, {"run": "r"}, False),
        (RETRY, {"workflow": "pay"}, True),
        (PURGE, {}, True),
        (ERASE, {"run": "r"}, True),
        (DEAD_RETRY, {"letter": 1}, False),
    ],
)
def test_what_may_concern_many_runs_takes_long(
    verb: str, fields: dict[str, Any], *, long: bool
) -> None:
    data = msgspec.json.encode(Command(**fields))
    assert read_command(PLAIN, f"layby.do.{verb}.ada", data, 1, 1.0).takes_long == long


def test_outcomes_and_heartbeats_are_beside_the_command_of_their_person() -> None:
    assert outcome_subject(SHOP, "ada", 7) == "shop.layby.done.ada.7"
    assert heartbeat_subject(PLAIN, "ada", "*") == "layby.doing.ada.*"


def test_a_command_that_is_not_done_yet_keeps_its_number_when_it_is_copied() -> None:
    kind, arguments = NotDoneYet("stored", 7).__reduce__()[:2]
    copied = kind(*arguments)
    assert (str(copied), copied.seq) == ("stored", 7)
