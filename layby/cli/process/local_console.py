"""The console that `layby dev` and `layby demo` run along with the workers."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from ...bus.install import installing
from ..screen.output import stderr
from .console_packages import missing_package

if TYPE_CHECKING:
    from ...bus.keyring import KeyService
    from ...bus.settings import ConnectionSettings
    from ...console.server import Serving
    from ...runtime.vouching import Signers


@contextlib.asynccontextmanager
async def local_console(
    settings: ConnectionSettings,
    *,
    wanted: bool = True,
    port: int | None = None,
    prefix: str = "",
    keyring: KeyService | None = None,
    signers: Signers | None = None,
) -> AsyncGenerator[Serving | None]:
    """A console while the block is open; None if it is not wanted or cannot be started.

    Args:
        settings: How it connects.
        wanted: Whether there is to be one.
        port: Its port; None: the usual one if it is free, else any.
        prefix: The prefix of the app.
        keyring: Decrypts what the app encrypts.
        signers: The roles whose answers must be signed.

    Raises:
        PortTaken: another program listens on `port`.
    """
    if not wanted:
        yield None
        return
    if (name := missing_package()) is not None:
        advice = f"no console: it needs the package {name}: {installing('local')}"
        stderr().print(advice, style="yellow", soft_wrap=True)
        yield None
        return
    from ...actors.people.answer_link import LinkKeys
    from ...console.options import PORT, ConsoleOptions
    from ...console.server import PortTaken, serving

    links = LinkKeys.from_env()
    ports = [PORT, 0] if port is None else [port]
    async with contextlib.AsyncExitStack() as stack:
        for number in ports:
            options = ConsoleOptions(port=number, links=links, signers=signers)
            try:
                console = await stack.enter_async_context(
                    serving(settings, options, prefix=prefix, keyring=keyring)
                )
            except PortTaken:
                if number == ports[-1]:
                    raise
            else:
                break
        else:  # pragma: no cover  the last port either serves or raises
            return
        yield console


async def last_look(console: Serving | None) -> None:
    """Wait for Enter if somebody has the console open, so that it does not vanish from them."""
    if console is None or not console.watched:
        return
    stderr().print("\n  The console is open in a browser. Enter stops it.", style="dim")
    loop = asyncio.get_running_loop()
    pressed = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), pressed.set)
    try:
        await pressed.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
