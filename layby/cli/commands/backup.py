"""`layby backup` and `layby restore`: all streams of an app in a folder, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..invocation import Invocation, command
from ..options.common import COPIES
from ..screen.errors import CliError, UsageError
from ..screen.output import print_json, stdout
from ..screen.progress import progress
from ..target.connection import reachable_settings

if TYPE_CHECKING:
    from ...operations.restoring import Held

_MIB = 1024 * 1024
Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Folder of the backup.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(backup)
    app.command()(restore)


@command
def backup(call: Invocation, folder: Folder) -> None:
    """Save everything of an app to a new folder.

    All apps with one prefix are saved together. Workers can keep running. Everything that was
    acknowledged before it started is in the backup. If it is interrupted, the folder is not a
    backup, and no command accepts it as one.

    Example: layby backup /backups/monday
    """
    import asyncio

    from ...operations.backing_up import back_up

    with progress("MiB saved", quiet=call.json) as report:
        manifest = asyncio.run(
            back_up(
                reachable_settings(call),
                folder,
                prefix=call.app_prefix,
                report=lambda size: report(size // _MIB),
            )
        )
    if call.json:
        print_json({"folder": str(folder), "begun_at": manifest.begun_at, "parts": manifest.parts})
        return
    messages = sum(part.messages for part in manifest.parts)
    stdout().print(
        f"saved {len(manifest.parts)} streams with {messages:,} messages "
        f"({manifest.size / _MIB:,.1f} MiB) to {folder}"
    )


@command
def restore(
    call: Invocation,
    folder: Folder,
    replicas: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=5, help=COPIES, show_default=False),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option("--replace", metavar="", help="Delete the app's existing streams."),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", metavar="", help="Do not ask for confirmation.")
    ] = False,
) -> None:
    """Restore what `layby backup`, or `nats account backup`, has saved.

    Stop all workers first, and start them when this has finished. Streams that hold something are
    replaced only with --replace, and only if there is room. If it is interrupted, no worker starts:
    run it again to continue. Without --replicas, streams have as many copies as they had.

    Example: layby restore /backups/monday
    """
    import asyncio

    from ...operations.restoring import restore as restore_all

    def may_replace(held: list[Held]) -> bool:
        return replace and (yes or _confirmed(held))

    with progress("MiB restored", quiet=call.json or (replace and not yes)) as report:
        done = asyncio.run(
            restore_all(
                reachable_settings(call),
                folder,
                replicas=replicas,
                may_replace=may_replace,
                report=lambda size: report(size // _MIB),
            )
        )
    if call.json:
        print_json(done)
        return
    stdout().print(f"restored {len(done.streams)} streams")
    if done.smaller:
        stdout().print(
            f"the server cannot reserve the space they had: {', '.join(done.smaller)} have smaller "
            "limits now; `nats stream edit STREAM --max-bytes` raises one",
            style="yellow",
        )
    if done.begun_at:
        stdout().print(
            f"everything acknowledged before {done.begun_at} is there: start the workers"
        )
    else:
        stdout().print(
            "the nats CLI wrote this backup: consumers are where they were when it saved their "
            "streams, and what happened while it saved them may be missing",
            style="yellow",
        )


def _confirmed(held: list[Held]) -> bool:
    import sys

    what = ", ".join(f"{each.stream} ({each.messages:,} messages)" for each in held)
    if not sys.stdin.isatty():
        raise UsageError(
            f"{what} would be deleted",
            "there is no terminal to ask for confirmation on: add --yes",
        )
    if not typer.confirm(f"Delete {what}, and restore the backup?"):
        raise CliError("stopped: nothing was changed", kind="Aborted")
    return True
