"""The options that choose which rows a list shows."""

from __future__ import annotations

from typing import Annotated

import typer

from .common import RUN_HELP

Ticket = Annotated[
    str | None,
    typer.Option(metavar="TICKET", help="Ticket to filter by.", show_default=False),
]
Workflow = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Workflow to filter by.", show_default=False),
]
Role = Annotated[
    str | None,
    typer.Option(
        metavar="ROLE", help="Role to filter by: the one that was asked.", show_default=False
    ),
]
Run = Annotated[
    str | None,
    typer.Option(metavar="RUN", help=RUN_HELP, show_default=False),
]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="Maximum age, for example 30m, 2h or 7d.", show_default=False
    ),
]
SearchText = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Text to search for.", show_default=False),
]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        metavar="NAME:VALUE",
        help="Label to filter by; can be given several times.",
        show_default=False,
    ),
]
Limit = Annotated[int, typer.Option(metavar="N", min=1, help="Maximum number of rows.")]
