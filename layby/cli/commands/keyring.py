"""`layby keyring`: the keys that an app's data is encrypted under."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ..invocation import Invocation, command, group
from ..options.common import AppPath
from ..screen.errors import FAILED, OK
from ..screen.output import print_json, stderr, stdout
from ..screen.progress import progress
from ..target.app_loading import keyring_of, load_app
from ..target.connection import required_settings

if TYPE_CHECKING:
    from ...bus.secret_store import SecretStore

T = TypeVar("T")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    ring = typer.Typer(
        help="Create, list and rotate the keys that encrypt an app's data.\n\n"
        "Example: layby keyring new 2026-11"
    )
    ring.callback(invoke_without_command=True)(group)
    for each in (new, show, rotate):
        ring.command()(each)
    app.add_typer(ring, name="keyring")


@command
def new(
    call: Invocation,
    name: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="Name for the key, for example 2026-11.", show_default=False
        ),
    ],
) -> None:
    """Print a new key, ready for LAYBY_KEYS or a key file.

    Keep it out of backups.

    Example: export LAYBY_KEYS="$(layby keyring new 2026-11)"
    """
    from ...bus.keyring import new_key

    line = new_key(name)
    if call.json:
        print_json({"id": name, "key": line})
    else:
        stdout().print(line, markup=False, soft_wrap=True)


@command
def show(call: Invocation, app: AppPath) -> int:
    """List the keys in use.

    Shows how many records each key wraps, and which keys the app's keyring lacks. Exit code 1 if a
    key is missing.

    Example: layby keyring show desk:app
    """

    async def look(store: SecretStore) -> dict[str, tuple[int, bool]]:
        found = await store.wrapped_by()
        return {key: (count, await store.ring.holds(key)) for key, count in sorted(found.items())}

    found = _with_store(call, app, look)
    if call.json:
        print_json([{"id": k, "records": n, "held": held} for k, (n, held) in found.items()])
    else:
        for key, (count, held) in found.items():
            note = "" if held else ", but the key is not in the keyring"
            stdout().print(f"{key}: {_records(count)}{note}", markup=False)
        if not found:
            stdout().print("nothing is encrypted yet", style="dim")
    return OK if all(held for _, held in found.values()) else FAILED


@command
def rotate(call: Invocation, app: AppPath) -> int:
    """Wrap all data keys with the first key of the app's keyring.

    First give all workers the new key: after the old one, then before it. Afterwards the old key is
    no longer needed. Workers can keep running, the data itself is not touched, and an interrupted
    rotation can be repeated.

    Example: layby keyring rotate desk:app
    """
    with progress("records rewrapped", quiet=call.json) as report:
        done = _with_store(call, app, lambda store: store.rotate(report))
    if call.json:
        print_json(done)
    else:
        stdout().print(f"{_records(done.rewrapped)} rewrapped with {done.primary}", markup=False)
        for key, count in done.left.items():
            stderr().print(
                f"{_records(count)} left under {key}, which is not in the keyring: add it and "
                "run this again",
                style="yellow",
                markup=False,
                soft_wrap=True,
            )
        if not done.left:
            stdout().print("no other key is needed any longer", style="dim")
    return FAILED if done.left else OK


def _records(count: int) -> str:
    return f"{count} record{'' if count == 1 else 's'}"


def _with_store(call: Invocation, target: str, work: Callable[[SecretStore], Awaitable[T]]) -> T:
    settings = required_settings(call, target)
    app = load_app(target, call.prefix)
    ring = keyring_of(app)

    import asyncio

    async def run() -> T:
        from ...bus.bucket import Bucket
        from ...bus.opened import opened
        from ...bus.secret_store import BUCKET, SecretStore

        async with opened(settings, prefix=app.prefix) as (_, requests):
            return await work(SecretStore(Bucket(requests, BUCKET), ring))

    return asyncio.run(run())
