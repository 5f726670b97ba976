"""`layby standby`: a second cluster that mirrors the first, and takes over if that is lost."""

from __future__ import annotations

from typing import Annotated

import typer

from ..invocation import Invocation, command, group
from ..options.common import COPIES
from ..screen.output import print_json, stdout
from ..target.app_loading import load_app
from ..target.connection import reachable_settings, required_settings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(
        help="Keep a second cluster that can take over.\n\n"
        "Example: layby standby follow --domain berlin"
    )
    commands.callback(invoke_without_command=True)(group)
    commands.command()(follow)
    commands.command("take-over")(take_over)
    app.add_typer(commands, name="standby")


@command
def follow(
    call: Invocation,
    domain: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="JetStream domain of the cluster to mirror.", show_default=False
        ),
    ],
    replicas: Annotated[
        int,
        typer.Option(metavar="N", min=1, max=5, help=COPIES, show_default=False),
    ] = 1,
) -> None:
    """Mirror the streams of an app here, and show how they keep up.

    Run it on the standby, and again after each change of the app: it makes what is missing.

    Example: layby standby follow --domain berlin --context standby
    """
    import asyncio

    from ...operations.standby import follow as mirror_all

    rows = asyncio.run(
        mirror_all(reachable_settings(call), domain, prefix=call.app_prefix, replicas=replicas)
    )
    if call.json:
        print_json(rows)
        return
    for row in rows:
        heard = (
            "nothing heard from its source yet"
            if row.silent is None
            else f"heard {row.silent} s ago"
        )
        made = "made" if row.made else heard
        stdout().print(f"{row.stream}: up to {row.last_seq:,}, {row.lag:,} behind, {made}")


@command
def take_over(
    call: Invocation,
    apps: Annotated[
        list[str],
        typer.Argument(metavar="APP...", help="All apps of the streams.", show_default=False),
    ],
    force: Annotated[
        bool,
        typer.Option("--force", metavar="", help="Do it even if the other cluster answers."),
    ] = False,
    gone: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="An app that ran there and no longer exists.", show_default=False
        ),
    ] = None,
) -> None:
    """Turn the mirrors into streams, so that workers can start here.

    Creates everything else that the workers need. Do this once the other cluster is lost, and
    then start workers here. If it is interrupted, no worker starts: run it again.

    Example: layby standby take-over shop.app:app --context standby
    """
    import asyncio

    from ...operations.standby import take_over as take_all

    settings = required_settings(call, apps[0])
    loaded = [load_app(each, call.prefix) for each in apps]
    done = asyncio.run(take_all(loaded, settings, force=force, gone=gone or ()))
    if call.json:
        print_json(done)
        return
    stdout().print(
        f"{len(done.promoted)} mirrors are streams now: start the workers, which look after "
        f"{done.waiting:,} runs that had not ended"
    )
