"""Arguments and options of many commands: the app, a run, and who commands what and why."""

from __future__ import annotations

from typing import Annotated

import typer

AppPath = Annotated[
    str,
    typer.Argument(metavar="APP", help="App to load, as module:attribute.", show_default=False),
]
RUN_HELP = "Id of the run, the start of the id, or the ticket (its newest run)."
RunName = Annotated[str, typer.Argument(metavar="RUN", help=RUN_HELP, show_default=False)]
Reason = Annotated[
    str,
    typer.Option(metavar="TEXT", help="Reason to record with the command.", show_default=False),
]
COPIES = "Copies of each stream: 3 in production."
"""The help of `--replicas`."""
QuestionTicket = Annotated[
    str, typer.Argument(metavar="TICKET", help="Ticket of the question.", show_default=False)
]
WHO_HELP = "the NATS user, else your login name."
As = Annotated[
    str | None,
    typer.Option(
        "--as", metavar="NAME", help=f"Name to record; default: {WHO_HELP}", show_default=False
    ),
]
ProcessName = Annotated[
    str | None,
    typer.Option("--name", metavar="NAME", help="Name of the process in logs.", show_default=False),
]
MetricsHost = Annotated[
    str,
    typer.Option(
        "--metrics-host",
        metavar="ADDRESS",
        envvar="LAYBY_METRICS_HOST",
        show_envvar=False,
        help="Address to serve metrics and probes on, without a login; or LAYBY_METRICS_HOST.",
    ),
]
METRICS_HOST = "127.0.0.1"
"""Where metrics are served unless told otherwise: this machine alone reaches them."""
MetricsPort = Annotated[
    int | None,
    typer.Option(
        "--metrics-port",
        metavar="PORT",
        envvar="LAYBY_METRICS_PORT",
        show_envvar=False,
        help="Port to serve metrics and probes on, 0: a free one; or LAYBY_METRICS_PORT.",
        min=0,
        max=65535,
        show_default=False,
    ),
]

ShowConsole = Annotated[
    bool,
    typer.Option(
        "--console/--no-console",
        metavar="",
        help="Show runs and questions in a browser, under the address that is printed.",
    ),
]
ConsolePort = Annotated[
    int | None,
    typer.Option(
        metavar="PORT",
        help="Port of the console; default: 7422, or a free one if that is taken.",
        min=0,
        max=65535,
        show_default=False,
    ),
]
