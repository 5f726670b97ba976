"""Creates or verifies everything that an app needs on a server."""

from __future__ import annotations

from ..app import App
from ..bus.opened import opened
from ..bus.pruning import Prune
from ..bus.settings import ConnectionSettings
from ..bus.topology import Provisioner
from ..views.rows import Finding


async def provision(
    app: App,
    settings: ConnectionSettings,
    *,
    replicas: int | None = None,
    limits: bool = False,
    prune: bool = False,
) -> list[Finding]:
    """Create or verify everything that `app` needs on the server.

    Args:
        app: The app.
        settings: Where and how to connect, as a user who may create streams.
        replicas: How many copies each stream has from now on, those that exist too. None: one copy
            of a new stream, and whatever an existing one has.
        limits: Give existing streams without byte limits the limits that new ones get.
        prune: Remove the event subjects and consumers that the app declared before and nobody
            declares now. Only once no worker of the previous release runs.

    Raises:
        TopologyMismatch: something exists in a form that does not work, or cannot have so many
            copies.
        PermissionDenied: this user may not create, or change, what is needed.
    """
    async with opened(settings, prefix=app.prefix) as (_, requests):
        mode = Prune.IDLE if prune else Prune.REPORT
        changes = await Provisioner(requests, replicas=replicas, limits=limits, prune=mode).ensure(
            app.topology()
        )
    if not changes:
        return [Finding(level="ok", subject=app.name, message="everything is there already")]
    return [Finding(level="ok", subject=app.name, message=change) for change in changes]
