"""What follows from the subjects that a login may publish on."""

from __future__ import annotations

import pytest

from layby.bus.names import Names
from layby.bus.subjects import overlaps
from layby.console.login import granted
from layby.console.login.granted import LoginPermissions, covers
from layby.console.login.pace import Pace

PLAIN = Names()
NONE: frozenset[str] = frozenset()


def allowed(*allow: str, deny: tuple[str, ...] = ()) -> LoginPermissions:
    publish = granted._Subjects(allow=list(allow), deny=list(deny))
    return LoginPermissions(user="u", permissions=granted._Permissions(publish=publish))


@pytest.mark.parametrize(
    ("pattern", "subject", "is_covered"),
    [
        (">", "a.b", True),
        ("a.>", "a", False),
        ("a.>", "a.b.>", True),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("a.*", "a.>", False),
        ("a.b", "a.*", False),
        ("a.*.c", "a.*.c", True),
        ("*.b", "a.b", True),
    ],
)
def test_a_pattern_covers_another(pattern: str, subject: str, is_covered: bool) -> None:  # noqa: FBT001
    assert covers(pattern, subject) is is_covered


@pytest.mark.parametrize(
    ("one", "other", "do"),
    [("a.*", "*.b", True), ("a.>", "a.b.c", True), ("a", "b", False), ("a.*", "a.b.c", False)],
)
def test_patterns_overlap(one: str, other: str, do: bool) -> None:  # noqa: FBT001
    assert overlaps(one, other) is do
    assert overlaps(other, one) is do


@pytest.mark.parametrize(
    ("said", "end", "roles"),
    [
        (allowed("lead.response.*.ada", "dev.response.*"), ".ada", frozenset({"lead"})),
        (allowed("lead.response.*.ada", "dev.response.*"), "", frozenset({"dev"})),
        (allowed("*.response.*.ada"), ".ada", None),
        (allowed(">"), "", None),
        (LoginPermissions(user="u"), "", None),
        (allowed(">", deny=("dev.>",)), "", NONE),
        (allowed("dev.response.*.ada", deny=("dev.response.*.*",)), ".ada", NONE),
        (allowed("dev.response.T1.ada"), ".ada", NONE),
    ],
)
def test_roles_follow_from_the_subjects_of_answers(
    said: LoginPermissions, end: str, roles: frozenset[str] | None
) -> None:
    assert granted._roles(said, PLAIN, said.patterns, end) == roles


def test_subjects_name_one_person_or_nobody() -> None:
    assert granted._named(["dev.response.*.ada", "layby.do.*.ada"]) == "ada"
    assert granted._named(["dev.response.*.ada", "layby.do.*.bob"]) == ""
    assert granted._named(["dev.response.*.*", "layby.do.>", ">"]) == ""


def test_only_a_login_that_may_command_in_its_own_name_operates() -> None:
    assert granted._commands(allowed("layby.do.*.ada"), PLAIN, "ada")
    assert not granted._commands(allowed("layby.do.*.bob"), PLAIN, "ada")
    assert granted._commands(allowed("shop.layby.do.*.ada"), Names("shop"), "ada")
    assert not granted._commands(allowed("layby.do.*.ada"), Names("shop"), "ada")


def test_a_peer_gets_a_few_tries_at_once_and_then_two_a_second() -> None:
    now = 0.0
    pace = Pace(lambda: now)
    assert [pace.take("a") for _ in range(7)] == [True] * 5 + [False] * 2
    assert pace.take("b")
    now = 1.0
    assert [pace.take("a") for _ in range(3)] == [True, True, False]
