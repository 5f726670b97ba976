"""`layby keyring`: the keys that an app's data is encrypted under."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from .errors import FAILED, OK, CliError
from .invocation import Invocation, command, group
from .load import load_app
from .output import print_json, stderr, stdout
from .progress import progress
from .worker import AppPath, required_settings

if TYPE_CHECKING:
    from ..app import App
    from ..bus.keyring import KeyService
    from ..bus.secret_store import SecretStore

T = TypeVar("T")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    ring = typer.Typer(
        help="Make and change the keys that an app's data is encrypted under.\n\n"
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
        str, typer.Argument(metavar="ID", help="What to call it, 2026-11 for instance.")
    ],
) -> None:
    """Print a new key, as LAYBY_KEYS or a file of keys has it. Keep it where backups do not go.

    Example: export LAYBY_KEYS="$(layby keyring new 2026-11)"
    """
    from ..bus.keyring import new_key

    line = new_key(name)
    if call.json:
        print_json({"id": name, "key": line})
    else:
        stdout().print(line, markup=False, soft_wrap=True)


@command
def show(call: Invocation, app: AppPath) -> int:
    """Say which keys are in use, and whether the app's keyring holds them.

    Example: layby keyring show desk:app
    """

    async def look(store: SecretStore) -> dict[str, tuple[int, bool]]:
        found = await store.wrapped_by()
        return {key: (count, await store.holds(key)) for key, count in sorted(found.items())}

    found = _with_store(call, app, look)
    if call.json:
        print_json([{"id": k, "records": n, "held": held} for k, (n, held) in found.items()])
    else:
        for key, (count, held) in found.items():
            note = "" if held else ", which the keyring does not hold"
            stdout().print(f"{key}: {_records(count)}{note}", markup=False)
        if not found:
            stdout().print("nothing is encrypted yet", style="dim")
    return OK if all(held for _, held in found.values()) else FAILED


@command
def rotate(call: Invocation, app: AppPath) -> int:
    """Wrap everything anew with the first key of the app's keyring.

    Workers need not stop, and it may be stopped and repeated. Before: give all workers the new key,
    first behind the old one, then before it. Afterwards the old key is needed no more. Data itself
    is not touched.

    Example: layby keyring rotate desk:app
    """
    with progress("records wrapped anew", quiet=call.json) as tell:
        done = _with_store(call, app, lambda store: store.rotate(tell))
    if call.json:
        print_json(done)
    else:
        stdout().print(f"{_records(done.rewrapped)} wrapped anew with {done.primary}", markup=False)
        for key, count in done.left.items():
            stderr().print(
                f"{_records(count)} left under {key}, which the keyring does not hold: add it, and "
                "run this again",
                style="yellow",
                markup=False,
                soft_wrap=True,
            )
        if not done.left:
            stdout().print("no other key is needed any more", style="dim")
    return FAILED if done.left else OK


def _records(count: int) -> str:
    return f"{count} record{'' if count == 1 else 's'}"


def keyring_of(app: App) -> KeyService:
    """The keyring of an app. Raises CliError where it has none."""
    if app.encryption is None:
        raise CliError(
            f"app {app.name!r} is not encrypted", "it has no encryption=", kind="InvalidSetup"
        )
    return app.encryption


def _with_store(call: Invocation, target: str, work: Callable[[SecretStore], Awaitable[T]]) -> T:
    settings = required_settings(call, target)
    app = load_app(target, call.prefix)
    ring = keyring_of(app)

    import asyncio

    async def run() -> T:
        from ..bus.bucket import Bucket
        from ..bus.opened import opened
        from ..bus.secret_store import BUCKET, SecretStore

        async with opened(settings, prefix=app.prefix) as (_, requests):
            return await work(SecretStore(Bucket(requests, BUCKET), ring))

    return asyncio.run(run())
