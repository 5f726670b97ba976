"""`layby show`: one run, from its event to its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..invocation import Invocation, command
from ..options.common import RunName
from ..options.signing import KeysFile, keys_file
from ..screen.output import print_json, stdout
from ..target.connection import with_client

if TYPE_CHECKING:
    from ...client import Client
    from ...views.rows import RunDetail


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(show)


@command
def show(
    call: Invocation,
    run: RunName,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", metavar="", help="Keep printing until the run ends.")
    ] = False,
    prompt: Annotated[
        str | None,
        typer.Option(
            metavar="STEP",
            help="Show what a step sent to its model instead: its path, or its number in the log.",
        ),
    ] = None,
    keys: KeysFile = None,
) -> None:
    """Show one run: what happened when, who did it, and how it ended.

    Example: layby show T125 --follow
    """
    from ...runtime.state import UNENDED
    from ..screen.run_detail import print_end, print_run

    if prompt is not None:
        _show_prompt(call, run, prompt)
        return
    followed = False

    async def look(client: Client) -> RunDetail:
        nonlocal followed
        detail = await client.show(run)
        if not follow or detail.status not in UNENDED:
            return detail
        followed = True
        return await _follow(client, detail, quiet=call.json)

    detail = with_client(call, look, keys=keys_file(keys))
    if call.json:
        print_json(detail)
    elif followed:
        print_end(stdout(), detail)
    else:
        print_run(stdout(), call, detail)


def _show_prompt(call: Invocation, run: str, step: str) -> None:
    from ..screen.prompt import print_prompt

    prompt = with_client(call, lambda client: client.prompt(run, step))
    if call.json:
        print_json(prompt)
    else:
        print_prompt(stdout(), prompt)


async def _follow(client: Client, detail: RunDetail, *, quiet: bool) -> RunDetail:
    from ..screen.run_detail import print_head
    from ..screen.streaming import StreamedText
    from ..screen.timeline import Timeline

    console = stdout()
    streamed = StreamedText(console)
    if not quiet:
        print_head(console, detail)
    timeline = Timeline(console, start=detail.started_at)
    async for line in client.follow(detail.id, text=streamed.is_visible and not quiet):
        if line.kind == "text.delta":
            streamed.delta(line)
        elif not quiet:
            streamed.end()
            timeline.line(line)
        if line.kind == "run.ended":
            break
    return await client.show(detail.id)
