"""`layby accounts`: who may do what on a server."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ...bus.errors import InvalidSettings
from ..invocation import Invocation, command, group
from ..options.staff import (
    Apps,
    MaxConnections,
    NamedOnly,
    NamedOnlyAgain,
    NamedStaff,
    comma_separated,
    with_staff_options,
)
from ..screen.errors import FAILED, OK
from ..screen.output import print_json, stdout
from ..target.app_loading import load_app
from ..target.connection import named_settings

if TYPE_CHECKING:
    from ...access import Wall
    from ...access.registry import Registry

_Folder = Annotated[
    Path,
    typer.Argument(metavar="FOLDER", help="Folder of the keys and logins.", show_default=False),
]
_Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the login.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    accounts = typer.Typer(
        help="Configure who may do what on a server.\n\n"
        "Example: layby accounts config examples.support_agent:app"
    )
    accounts.callback(invoke_without_command=True)(group)
    for each in (config, init, add, revoke, update, push, move):
        accounts.command()(each)
    accounts.command("list")(list_)
    app.add_typer(accounts, name="accounts")


@command
@with_staff_options
def config(
    call: Invocation,
    apps: Apps,
    named: NamedStaff,
    named_only: NamedOnly = False,
    max_connections: MaxConnections = None,
    one_account: Annotated[
        bool,
        typer.Option(
            "--one-account",
            metavar="",
            help="Use permissions in one account, on a server where everybody is trusted.",
        ),
    ] = False,
) -> None:
    """Print the accounts and logins as server configuration.

    Workers and streams are in one account, and each kind of outsider is in an account of its own.
    The server reads the passwords from its environment. Include the file in nats-server.conf.

    Example: layby accounts config examples.support_agent:app > deploy/accounts.conf
    """
    from ...access import config as text

    if one_account and max_connections is not None:
        raise InvalidSettings(
            "--max-connections limits accounts, and --one-account has no accounts for outsiders. "
            "Leave one of the two out."
        )
    wall = _wall(call, apps, named_only=named_only, connections=max_connections)
    write = text.one_account if one_account else text.accounts
    flags = [*(["--named-only"] if named_only else []), *(["--one-account"] if one_account else [])]
    if max_connections is not None:
        flags += ["--max-connections", str(max_connections)]
    line = shlex.join(["layby", "accounts", "config", *apps, *named.words, *flags])
    written = write(wall, named.staff, line)
    if call.json:
        print_json({"config": written, "variables": [x.variable for x in wall.logins(named.staff)]})
    else:
        sys.stdout.write(written)


@command
@with_staff_options
def init(
    call: Invocation,
    folder: _Folder,
    apps: Apps,
    named: NamedStaff,
    named_only: NamedOnly = False,
    max_connections: MaxConnections = None,
    store: Annotated[
        str, typer.Option(metavar="FOLDER", help="Folder on the server for its account tokens.")
    ] = "/data/jwt",
) -> None:
    """Create the keys and logins of a server in operator mode.

    Nobody has a password in this mode. FOLDER then contains the keys that sign every login: keep it
    off the server. It also contains `server/operator.conf`, to include in nats-server.conf, and a
    credentials file for each login. Start the server with it, then run `layby accounts push
    FOLDER`.

    Example: layby accounts init logins examples.support_agent:app --person ada
    """
    from ...access.registry import Registry

    wall = _wall(call, apps, named_only=named_only, connections=max_connections)
    made = Registry.init(folder, wall, named.staff, store)
    files = {name: str(made.creds(name)) for name in made.logins}
    if call.json:
        print_json({"config": str(made.config), "creds": files})
        return
    text = (
        f"include {made.config} in the server's configuration; once it runs: "
        f"layby accounts push {folder} --server URL"
    )
    stdout().print(text, soft_wrap=True, highlight=False)
    for name, file in files.items():
        stdout().print(_login_line(name, file), soft_wrap=True, highlight=False)


@command
def add(
    call: Invocation,
    folder: _Folder,
    name: _Name,
    kind: Annotated[
        Literal[
            "person",
            "sender",
            "bridge",
            "notifier",
            "observer",
            "operator",
            "backup",
            "restorer",
            "link",
        ],
        typer.Option(
            "--as",
            metavar="KIND",
            help="Kind of login: person, sender, bridge, notifier, observer, operator, backup, "
            "restorer or link.",
        ),
    ] = "person",
    role: Annotated[
        str,
        typer.Option(
            metavar="ROLE,...",
            help="Roles that a person answers for; default: all.",
            show_default=False,
        ),
    ] = "",
    via: Annotated[
        str,
        typer.Option(
            metavar="VIA,...",
            help="What a bridge vouches by: slack, link, token, proxy; default: all.",
            show_default=False,
        ),
    ] = "",
    domain: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="JetStream domain of the cluster to mirror.", show_default=False
        ),
    ] = "",
) -> None:
    """Create a login. The server accepts it at once, without a restart.

    A backup, a restorer and a link get two: one of them, NAME-trail, for the audit trail.

    Example: layby accounts add logins eve --role developer
    """
    from ...access.registry import Registry

    registry = Registry(folder)
    made = registry.add(kind, name, comma_separated(role), comma_separated(via), domain)
    files = {login.name: str(registry.creds(login.name)) for login in made}
    if call.json:
        also = {"also": {who: file for who, file in files.items() if who != name}}
        first = {"name": name, "creds": files[name], "inbox_prefix": f"_INBOX_{name}"}
        print_json({**first, **(also if len(files) > 1 else {})})
        return
    for who, file in files.items():
        stdout().print(_login_line(who, file), soft_wrap=True, highlight=False)


@command
def revoke(call: Invocation, folder: _Folder, name: _Name) -> int:
    """Revoke a login and tell the server, which disconnects it at once.

    Example: layby accounts revoke logins eve --server nats://nats.example.com:4222
    """
    from ...access.registry import Registry

    registry = Registry(folder)
    registry.revoke(name)
    return _push(call, registry)


@command
def update(
    call: Invocation,
    folder: _Folder,
    apps: Apps,
    named_only: NamedOnlyAgain = None,
    max_connections: MaxConnections = None,
) -> int:
    """Adapt the rights to what the apps need now, and tell the server.

    Run it when an app has new roles, triggers or streams. All credentials files are written again.
    The old ones still work, with their old rights.

    Example: layby accounts update logins examples.support_agent:app
    """
    from ...access.registry import Registry

    registry = Registry(folder)
    before = registry.wall
    wall = _wall(
        call,
        apps,
        named_only=before.named_only if named_only is None else named_only,
        connections=max_connections or before.connections,
    )
    registry.update(wall)
    return _push(call, registry)


@command
def push(call: Invocation, folder: _Folder) -> int:
    """Send the rights and the revoked logins to a running server.

    Example: layby accounts push logins --server nats://nats.example.com:4222
    """
    from ...access.registry import Registry

    return _push(call, Registry(folder))


@command
def list_(call: Invocation, folder: _Folder) -> None:
    """List the logins.

    Example: layby accounts list logins
    """
    from ...access.registry import Registry

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
        typer.Argument(
            metavar="STORE", help="Folder of the server's data: its store_dir.", show_default=False
        ),
    ],
    to: Annotated[
        str,
        typer.Option(metavar="ACCOUNT", help="Account to give the streams to."),
    ] = "LAYBY",
    registry: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of the keys and logins, in operator mode; it names the account.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Move the streams of a stopped server to other accounts.

    Moves the streams of a server without accounts, or only the audit trail if it is still in the
    same account as the other streams. Runs, questions and timers stay as they are. Then start the
    server with the new accounts.conf or, in operator mode, run `layby accounts push`.

    Example: layby accounts move /data/js
    """
    from ...access.login import TRAIL
    from ...access.moving import move as move_streams
    from ...access.registry import Registry

    logins = Registry(registry) if registry is not None else None
    trail = logins.trail if logins is not None else TRAIL
    to = logins.account if logins is not None else to
    moved = move_streams(store, to, trail)
    written = logins.separate_trail() if logins is not None else []
    if call.json:
        found = {"streams": moved.streams, "account": to, "trails": moved.trails, "trail": trail}
        print_json({**found, "written": written})
        return
    streams, trails = moved.streams, moved.trails
    texts = [
        *([f"{streams} streams now belong to account {to}"] if streams else []),
        *([f"the audit trail now belongs to account {trail}"] if trails else []),
        *([] if streams or trails else ["there was nothing to move"]),
        *([f"new credentials files to hand out: {', '.join(written)}"] if written else []),
    ]
    for text in texts:
        stdout().print(text, soft_wrap=True, highlight=False)


def _push(call: Invocation, registry: Registry) -> int:
    import asyncio

    from ...access.push import push as push_accounts

    settings = named_settings(call)
    if not settings.is_configured:
        text = (
            "saved, but the server does not know yet: run `layby accounts push "
            f"{registry.folder} --server URL`"
        )
        if call.json:
            print_json({"pushed": 0, "message": text})
        else:
            stdout().print(text, soft_wrap=True)
        return FAILED
    count = asyncio.run(push_accounts(registry, settings))
    if call.json:
        print_json({"pushed": count})
    else:
        stdout().print(f"sent {count} accounts to the server", soft_wrap=True)
    return OK


def _wall(call: Invocation, apps: list[str], *, named_only: bool, connections: int | None) -> Wall:
    """The wall around these apps."""
    from ...access import CONNECTIONS, Wall, outline

    loaded = [load_app(app, call.prefix) for app in apps]
    return Wall(
        apps=tuple(outline(app) for app in loaded),
        named_only=named_only,
        connections=connections or CONNECTIONS,
        own_trail=True,
    )


def _login_line(name: str, file: str) -> str:
    return f"{name}: NATS_CREDS={shlex.quote(file)} NATS_INBOX_PREFIX=_INBOX_{name}"
