"""`layby accounts`: write the files that keep workers, people and programs apart on a server."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from .invocation import Invocation, command, group
from .load import load_app
from .output import print_json

if TYPE_CHECKING:
    from ..access import Staff, Wall

_Apps = Annotated[
    list[str],
    typer.Argument(metavar="APP...", help="The apps, as module:attribute.", show_default=False),
]
_People = Annotated[
    list[str] | None,
    typer.Option(
        "--person",
        metavar="NAME[=ROLE,...]",
        help="Somebody who answers, for all roles or these; default: ada.",
        show_default=False,
    ),
]
_Senders = Annotated[
    list[str] | None,
    typer.Option(
        "--sender",
        metavar="NAME",
        help="A program that sends events; default: helpdesk.",
        show_default=False,
    ),
]
_Observers = Annotated[
    list[str] | None,
    typer.Option(
        "--observer",
        metavar="NAME",
        help="Somebody who looks at everything; default: observer.",
        show_default=False,
    ),
]
_Operators = Annotated[
    list[str] | None,
    typer.Option(
        "--operator",
        metavar="NAME",
        help="Somebody who cancels and retries runs; default: operator.",
        show_default=False,
    ),
]
_NamedOnly = Annotated[
    bool,
    typer.Option(
        "--named-only",
        metavar="",
        help="Take answers only on subjects that name who answers.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    accounts = typer.Typer(
        help="Write who may do what on a server, from an app.\n\n"
        "Example: layby accounts config examples.support_agent:app"
    )
    accounts.callback(invoke_without_command=True)(group)
    accounts.command()(config)
    app.add_typer(accounts, name="accounts")


@command
def config(
    call: Invocation,
    apps: _Apps,
    person: _People = None,
    sender: _Senders = None,
    observer: _Observers = None,
    operator: _Operators = None,
    named_only: _NamedOnly = False,
    one_account: Annotated[
        bool,
        typer.Option(
            "--one-account", metavar="", help="Permissions only, for servers all may trust."
        ),
    ] = False,
) -> None:
    """Print a server's configuration: accounts, logins, and what crosses from one to another.

    Workers and streams are in one account, and each kind of outsider in one of their own. Passwords
    are taken from the environment of the server. Include the file in nats-server.conf.

    Example: layby accounts config examples.support_agent:app > deploy/accounts.conf
    """
    from ..access import config as text

    wall = wall_of(call, apps, named_only=named_only)
    staff = staff_of(person, sender, observer, operator)
    write = text.one_account if one_account else text.accounts
    options = _given(person, sender, observer, operator)
    flags = [*(["--named-only"] if named_only else []), *(["--one-account"] if one_account else [])]
    line = shlex.join(["layby", "accounts", "config", *apps, *options, *flags])
    written = write(wall, staff, line)
    if call.json:
        print_json({"config": written, "variables": [x.variable for x in wall.logins(staff)]})
    else:
        sys.stdout.write(written)


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
        people = tuple(Person(name, tuple(filter(None, to.split(",")))) for name, _, to in split)
    return Staff(people=people, **named)


def _given(
    person: list[str] | None,
    sender: list[str] | None,
    observer: list[str] | None,
    operator: list[str] | None,
) -> list[str]:
    options = {"person": person, "sender": sender, "observer": observer, "operator": operator}
    return [
        part for name, each in options.items() for who in each or () for part in (f"--{name}", who)
    ]
