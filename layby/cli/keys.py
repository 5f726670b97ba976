"""`layby keys`: keys to sign answers with, and those that an app trusts."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from .errors import CliError
from .invocation import Invocation, command, group
from .load import load_app
from .output import print_json, stdout
from .worker import AppPath


def register(app: typer.Typer) -> None:
    """Add the commands."""
    keys = typer.Typer(
        help="Make a key to sign answers with; print those of an app.\n\n"
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
        typer.Argument(metavar="FILE", help="Where the seed goes: a new file.", show_default=False),
    ],
) -> None:
    """Make an nkey: its seed goes into a file of your own, its public key is printed.

    The public key is for `Role(..., keys={"ada": "U..."})`. Those of `nsc` and `nk` are as good.

    Example: layby keys new ada.nk
    """
    from ..runtime.nkey import Signer

    signer = Signer.new()
    try:
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise CliError(
            f"{file} is there already", "name another file: a seed is not replaced"
        ) from error
    with os.fdopen(opened, "w") as out:
        out.write(f"{signer.seed}\n")
    if call.json:
        print_json({"public": signer.public, "file": file})
    else:
        stdout().print(signer.public)


@command
def show(call: Invocation, app: AppPath) -> None:
    """Print the public keys of the roles that sign, for `layby verify --keys` and others.

    Example: layby keys show shop:app > keys.json
    """
    from ..key_file import as_json

    print_json(as_json(load_app(app, call.prefix).people.values()))
