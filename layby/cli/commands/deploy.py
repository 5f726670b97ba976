"""`layby deploy`: what a cluster must know about an app."""

from __future__ import annotations

import re
import sys
from typing import Annotated, Final

import typer

from ..invocation import Invocation, command, group
from ..options.common import AppPath
from ..screen.errors import UsageError
from ..screen.output import print_json
from ..target.app_loading import load_app

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ENDPOINT: Final = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):\d{1,5}")
_ABOUT: Final = """\
# The consumers that wake workers. Written by
#   layby deploy keda {app}
# Write it again when the app's workflows, networks, agents, roles or channels change: a message for
# a consumer that is missing here wakes no worker. Provision the app before you apply it.
"""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    deploy = typer.Typer(
        help="Write what a cluster must know about an app.\n\n"
        "Example: layby deploy keda examples.support_agent:app"
    )
    deploy.callback(invoke_without_command=True)(group)
    deploy.command()(keda)
    app.add_typer(deploy, name="deploy")


@command
def keda(
    call: Invocation,
    app: AppPath,
    namespace: Annotated[
        str, typer.Option(metavar="NAME", help="Namespace of the workers.")
    ] = "layby",
    deployment: Annotated[
        str, typer.Option(metavar="NAME", help="Deployment of the workers.")
    ] = "layby-worker",
    monitoring: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT",
            help="Monitoring of nats-server; of a cluster, its headless service. Default: the "
            "service nats in the namespace, port 8222.",
            show_default=False,
        ),
    ] = "",
    https: Annotated[
        bool, typer.Option("--https", metavar="", help="The monitoring speaks HTTPS.")
    ] = False,
    minimum: Annotated[
        int, typer.Option("--min", metavar="N", min=0, help="Workers while nothing waits.")
    ] = 0,
    maximum: Annotated[
        int, typer.Option("--max", metavar="N", min=1, help="Maximum number of workers.")
    ] = 10,
    lag: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Messages of one consumer for each worker."),
    ] = 50,
    poll: Annotated[
        int, typer.Option(metavar="SECONDS", min=1, help="Time between two checks of the server.")
    ] = 5,
    cooldown: Annotated[
        int,
        typer.Option(
            metavar="SECONDS", min=0, help="Time without messages before the last worker stops."
        ),
    ] = 120,
    account: Annotated[
        str, typer.Option(metavar="NAME", help="Account of the app's streams.")
    ] = "LAYBY",
    trail: Annotated[
        str, typer.Option(metavar="NAME", help="Account of the audit trail.")
    ] = "TRAIL",
    without_channels: Annotated[
        bool,
        typer.Option(
            "--without-channels",
            metavar="",
            help="Leave out questions for channels: `layby notify` shows them, and is always up.",
        ),
    ] = False,
    values: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Print the consumers as values of the Helm chart, for its workers of this name.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Print the KEDA ScaledObject that starts and stops workers.

    It has a trigger for each consumer whose messages wake a worker. A parked run leaves nothing on
    any of them, so no worker runs while everybody waits. A server without accounts has one, $G.

    Example: layby deploy keda examples.support_agent:app | kubectl apply -f -
    """
    from ...operations.scaling import Scaling, chart_values, scaled_object, sources

    scaling = Scaling(
        namespace=_named(namespace, "--namespace"),
        deployment=_named(deployment, "--deployment"),
        endpoint=_endpoint(monitoring),
        https=https,
        lag=lag,
        minimum=minimum,
        maximum=_most(minimum, maximum),
        poll=poll,
        cooldown=cooldown,
    )
    loaded = load_app(app, call.prefix)
    found = sources(loaded, account=account, trail=trail, channels=not without_channels)
    if values:
        document = chart_values(_named(values, "--values"), found)
    else:
        document = scaled_object(scaling, found)
    if call.json:
        print_json(document)
        return
    from ..screen.yaml_text import as_yaml

    sys.stdout.write(_ABOUT.format(app=app) + as_yaml(document))


def _named(text: str, option: str) -> str:
    """A name that Kubernetes takes."""
    if not _NAME.fullmatch(text):
        raise UsageError(
            f"{text!r} for {option} is not a name in Kubernetes",
            "use lower-case letters, digits and -, at most 63",
        )
    return text


def _endpoint(text: str) -> str:
    if text and not _ENDPOINT.fullmatch(text):
        raise UsageError(
            f"{text!r} for --monitoring is not an address",
            "write it as HOST:PORT, for example nats.layby.svc.cluster.local:8222",
        )
    return text


def _most(minimum: int, maximum: int) -> int:
    if maximum < minimum:
        raise UsageError(
            f"--max {maximum} is less than --min {minimum}", "give --max at least that number"
        )
    return maximum
