"""`layby token`: makes the token with which a program answers for a person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..invocation import Invocation, command
from ..options.staff import comma_separated
from ..screen.errors import CliError
from ..screen.output import print_json, stderr, stdout


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(token)


@command
def token(
    call: Invocation,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Name under which the program answers, for example ada.",
            show_default=False,
        ),
    ],
    role: Annotated[
        str,
        typer.Option(metavar="ROLE,...", help="Roles for which it may answer.", show_default=False),
    ],
    tokens: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="File of programs that answer for people: names, roles and digests of tokens.",
            dir_okay=False,
            show_default=False,
        ),
    ],
) -> None:
    """Make a token with which a program answers for a person.

    The program sends it to the console's HTTP API. It is printed once; the file gets its digest.
    To revoke it, delete its line.

    Example: layby token ada --role developer --tokens tokens.txt
    """
    from ...console.login.token_file import add_token

    try:
        made = add_token(tokens, name, comma_separated(role))
    except (OSError, ValueError) as error:
        raise CliError(f"cannot add a token to {tokens}: {error}", kind="NotWritten") from None
    if call.json:
        print_json({"name": name, "roles": [*comma_separated(role)], "token": made})
        return
    stdout().print(made, markup=False, soft_wrap=True)
    stderr().print(f"This is shown once. {tokens} has its digest.", style="dim", markup=False)
