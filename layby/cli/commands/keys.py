"""`layby keys`: keys that sign answers, and those that an app trusts."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from ..invocation import Invocation, command, group
from ..options.common import AppPath
from ..screen.errors import CliError
from ..screen.output import print_json, stderr, stdout
from ..target.app_loading import load_app


def register(app: typer.Typer) -> None:
    """Add the commands."""
    keys = typer.Typer(
        help="Create a key that signs answers, or print an app's keys.\n\n"
        "Example: layby keys new ada.nk"
    )
    keys.callback(invoke_without_command=True)(group)
    keys.command()(new)
    keys.command()(show)
    app.add_typer(keys, name="keys")


@command
def new(
    call: Invocation,
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="New file for the seed.", show_default=False),
    ],
) -> None:
    """Create a key to sign answers with.

    Writes the seed of an nkey to a file that only you can read, and prints the public key. The
    public key is for `Role(..., keys={"ada": "U..."})`. Keys made by `nsc` or `nk` work too.

    Example: layby keys new ada.nk
    """
    from ...runtime.nkey import Signer

    signer = Signer.new()
    try:
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise CliError(
            f"{file} exists already", "name another file: a seed is never overwritten"
        ) from error
    except OSError as error:
        raise CliError(
            f"cannot write {file}: {error.strerror}", "check the path and its permissions"
        ) from error
    with os.fdopen(opened, "w") as out:
        out.write(f"{signer.seed}\n")
    if call.json:
        print_json({"public": signer.public, "file": file})
    else:
        stdout().print(signer.public)


@command
def show(call: Invocation, app: AppPath) -> None:
    """Print the public keys of an app's roles, for `layby verify --keys`.

    Example: layby keys show shop:app > keys.json
    """
    from ...client.key_file import as_json

    found = as_json(load_app(app, call.prefix).people.values())
    print_json(found)
    if not found:
        text = f"no role of {app} has keys: its answers are not signed"
        stderr().print(text, style="yellow", soft_wrap=True)
