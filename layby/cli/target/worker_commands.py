"""Commands that a worker carries out, such as cancel and purge: wait for the outcome."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from ..invocation import Invocation
from ..screen.errors import NO_RECEIPT, CliError
from .connection import with_client

if TYPE_CHECKING:
    from ...bus.keyring import KeyService
    from ...client import Client

T = TypeVar("T")

RESUMED = "a worker died midway and another one finished: what the first did is not counted here"


def with_workers(
    call: Invocation, work: Callable[[Client], Awaitable[T]], keyring: KeyService | None = None
) -> T:
    """Do `work` with a client; exit with code 2 if a command is stored but not done yet."""
    from ...client import NotDoneYet

    try:
        return with_client(call, work, keyring=keyring)
    except NotDoneYet as error:
        message, _, advice = str(error).partition(". ")
        raise CliError(message, advice, code=NO_RECEIPT, kind="NotDoneYet") from error
