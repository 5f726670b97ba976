"""The options that name who gets a login."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .invocation import Invocation
from .load import load_app

if TYPE_CHECKING:
    from ..access import Staff, Wall

Apps = Annotated[
    list[str],
    typer.Argument(metavar="APP...", help="The apps, as module:attribute.", show_default=False),
]
People = Annotated[
    list[str] | None,
    typer.Option(
        "--person",
        metavar="NAME[=ROLE,...]",
        help="Somebody who answers, for all roles or these; default: ada.",
        show_default=False,
    ),
]
Senders = Annotated[
    list[str] | None,
    typer.Option(
        "--sender",
        metavar="NAME",
        help="A program that sends events; default: helpdesk.",
        show_default=False,
    ),
]
Observers = Annotated[
    list[str] | None,
    typer.Option(
        "--observer",
        metavar="NAME",
        help="Somebody who looks at everything; default: observer.",
        show_default=False,
    ),
]
Operators = Annotated[
    list[str] | None,
    typer.Option(
        "--operator",
        metavar="NAME",
        help="Somebody who cancels and retries runs; default: operator.",
        show_default=False,
    ),
]
NamedOnly = Annotated[
    bool,
    typer.Option(
        "--named-only", metavar="", help="Take answers only on subjects that name who answers."
    ),
]


def wall_of(call: Invocation, apps: list[str], *, named_only: bool) -> Wall:
    """The wall around these apps."""
    from ..access import Wall, outline

    loaded = [load_app(app, call.prefix) for app in apps]
    return Wall(apps=tuple(outline(app) for app in loaded), named_only=named_only)


def staff_of(
    person: list[str] | None,
    sender: list[str] | None,
    observer: list[str] | None,
    operator: list[str] | None,
) -> Staff:
    """Everybody who is named, and the usual name of each kind where nobody is."""
    from ..access import Person, Staff

    named: dict[str, tuple[str, ...]] = {}
    for kind, names in (("senders", sender), ("observers", observer), ("operators", operator)):
        if names:
            named[kind] = tuple(names)
    people = Staff().people
    if person:
        split = [each.partition("=") for each in person]
        people = tuple(Person(name, words(to)) for name, _, to in split)
    return Staff(people=people, **named)


def words(text: str) -> tuple[str, ...]:
    """The words of a list with commas."""
    return tuple(filter(None, text.split(",")))


def given(
    person: list[str] | None,
    sender: list[str] | None,
    observer: list[str] | None,
    operator: list[str] | None,
) -> list[str]:
    """The same options, as they are written on a command line."""
    options = {"person": person, "sender": sender, "observer": observer, "operator": operator}
    pairs = [(f"--{name}", who) for name, each in options.items() for who in each or ()]
    return [word for pair in pairs for word in pair]
