"""`layby accounts`: what keeps workers, people and programs apart on a server."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .connected import named
from .errors import FAILED, OK
from .invocation import Invocation, command, group
from .output import print_json, stdout
from .staff import (
    Apps,
    NamedOnly,
    Observers,
    Operators,
    People,
    Senders,
    given,
    staff_of,
    wall_of,
    words,
)

if TYPE_CHECKING:
    from ..access.registry import Registry

Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Where the keys are.", show_default=False)
]
_Name = Annotated[str, typer.Argument(metavar="NAME", help="Who.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    accounts = typer.Typer(
        help="Write who may do what on a server, from an app.\n\n"
        "Example: layby accounts config examples.support_agent:app"
    )
    accounts.callback(invoke_without_command=True)(group)
    for each in (config, init, add, revoke, update, push, move):
        accounts.command()(each)
    accounts.command("list")(list_)
    app.add_typer(accounts, name="accounts")


@command
def config(
    call: Invocation,
    apps: Apps,
    person: People = None,
    sender: Senders = None,
    observer: Observers = None,
    operator: Operators = None,
    named_only: NamedOnly = False,
    one_account: Annotated[
        bool,
        typer.Option(
            "--one-account", metavar="", help="Permissions only: for servers where all are trusted."
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
    flags = [*(["--named-only"] if named_only else []), *(["--one-account"] if one_account else [])]
    options = given(person, sender, observer, operator)
    line = shlex.join(["layby", "accounts", "config", *apps, *options, *flags])
    written = write(wall, staff, line)
    if call.json:
        print_json({"config": written, "variables": [x.variable for x in wall.logins(staff)]})
    else:
        sys.stdout.write(written)


@command
def init(
    call: Invocation,
    folder: Folder,
    apps: Apps,
    person: People = None,
    sender: Senders = None,
    observer: Observers = None,
    operator: Operators = None,
    named_only: NamedOnly = False,
    store: Annotated[
        str, typer.Option(metavar="DIR", help="Where the server keeps tokens, as it sees it.")
    ] = "/data/jwt",
) -> None:
    """Make the keys and logins of a server in operator mode, where nobody has a password.

    FOLDER then holds the keys, which sign every login: keep it off the server. It also holds
    `server/operator.conf`, to include in nats-server.conf, and a credentials file for each login.
    Start the server with it, then run `layby accounts push FOLDER`.

    Example: layby accounts init logins examples.support_agent:app --person ada
    """
    from ..access.registry import Registry

    wall = wall_of(call, apps, named_only=named_only)
    made = Registry.init(folder, wall, staff_of(person, sender, observer, operator), store)
    files = {name: str(made.creds(name)) for name in made.logins}
    if call.json:
        print_json({"config": str(made.config), "creds": files})
        return
    text = f"{made.config} is for the server; once it runs: layby accounts push {folder}"
    stdout().print(text, soft_wrap=True, highlight=False)
    for name, file in files.items():
        stdout().print(_how(name, file), soft_wrap=True, highlight=False)


@command
def add(
    call: Invocation,
    folder: Folder,
    name: _Name,
    kind: Annotated[
        Literal["person", "sender", "observer", "operator"],
        typer.Option("--as", metavar="KIND", help="person, sender, observer or operator."),
    ] = "person",
    role: Annotated[
        str,
        typer.Option(metavar="ROLE,...", help="What a person answers for; default: all roles."),
    ] = "",
) -> None:
    """Give somebody a login. The server need not be told, let alone be started again.

    Example: layby accounts add logins eve --role developer
    """
    from ..access.registry import Registry

    registry = Registry(folder)
    registry.add(kind, name, words(role))
    file = str(registry.creds(name))
    if call.json:
        print_json({"name": name, "creds": file, "inbox_prefix": f"_INBOX_{name}"})
    else:
        stdout().print(_how(name, file), soft_wrap=True, highlight=False)


@command
def revoke(call: Invocation, folder: Folder, name: _Name) -> int:
    """Take a login away, and tell the server, which cuts it off at once.

    Example: layby accounts revoke logins eve --server nats://nats.example.com:4222
    """
    from ..access.registry import Registry

    registry = Registry(folder)
    registry.revoke(name)
    return _push(call, registry)


@command
def update(call: Invocation, folder: Folder, apps: Apps, named_only: NamedOnly = False) -> int:
    """Take over what the apps need now: new roles, triggers or streams; then tell the server.

    It writes all credentials files anew. The old ones go on working, with the rights of old.

    Example: layby accounts update logins examples.support_agent:app
    """
    from ..access.registry import Registry

    registry = Registry(folder)
    registry.update(wall_of(call, apps, named_only=named_only))
    return _push(call, registry)


@command
def push(call: Invocation, folder: Folder) -> int:
    """Tell a running server what each account may do, and whose login is revoked.

    Example: layby accounts push logins --server nats://nats.example.com:4222
    """
    from ..access.registry import Registry

    return _push(call, Registry(folder))


@command
def list_(call: Invocation, folder: Folder) -> None:
    """List who has a login.

    Example: layby accounts list logins
    """
    from ..access.registry import Registry

    logins = Registry(folder).logins
    if call.json:
        print_json({name: {"account": x, "roles": roles} for name, (x, roles) in logins.items()})
        return
    for name, (account, roles) in sorted(logins.items()):
        stdout().print(f"{name}  {account}  {', '.join(roles)}".rstrip(), highlight=False)


@command
def move(
    call: Invocation,
    store: Annotated[
        Path,
        typer.Argument(metavar="STORE", help="The server's store_dir.", show_default=False),
    ],
    to: Annotated[
        str,
        typer.Option(metavar="ACCOUNT", help="The account that gets the streams."),
    ] = "LAYBY",
    registry: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="In operator mode: where the keys are; it names the account.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Give the streams of a server without accounts to one; the server must be stopped.

    Runs, questions and timers stay as they are. Start the server with accounts.conf afterwards.

    Example: layby accounts move /data/js
    """
    from ..access.moving import move as give

    if registry is not None:
        from ..access.registry import Registry

        to = Registry(registry).account
    count = give(store, to)
    if call.json:
        print_json({"streams": count, "account": to})
    else:
        stdout().print(f"{count} streams belong to account {to} now", soft_wrap=True)


def _push(call: Invocation, registry: Registry) -> int:
    import asyncio

    from ..access.push import push as tell

    settings = named(call)
    if not settings.is_configured:
        text = (
            "noted, but the server does not know yet: `layby accounts push "
            f"{registry.folder} --server URL`"
        )
        if call.json:
            print_json({"pushed": 0, "message": text})
        else:
            stdout().print(text, soft_wrap=True)
        return FAILED
    count = asyncio.run(tell(registry, settings))
    if call.json:
        print_json({"pushed": count})
    else:
        stdout().print(f"the server knows {count} accounts", soft_wrap=True)
    return OK


def _how(name: str, file: str) -> str:
    return f"{name}: NATS_CREDS={shlex.quote(file)} NATS_INBOX_PREFIX=_INBOX_{name}"
