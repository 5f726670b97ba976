"""What the commands have in common that workers carry out: who asks, and a wait for the outcome."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from .connected import with_client
from .errors import NO_RECEIPT, CliError
from .invocation import Invocation

if TYPE_CHECKING:
    from ..bus.keyring import KeyService
    from ..client import Client

T = TypeVar("T")

INTERRUPTED = "it was begun before: what a worker had done that died with it is not counted here"
Reason = Annotated[str, typer.Option(help="Why; it is kept in the trail: see `layby audit`.")]
As = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="NAME",
        help="Who asks; default: the NATS user, or your login.",
        show_default=False,
    ),
]


def commanding(
    call: Invocation, work: Callable[[Client], Awaitable[T]], keyring: KeyService | None = None
) -> T:
    """Do `work` with a client, and say where a command is stored but not done yet."""
    from ..client import NotDoneYet

    try:
        return with_client(call, work, keyring=keyring)
    except NotDoneYet as error:
        message, _, advice = str(error).partition(". ")
        raise CliError(message, advice, code=NO_RECEIPT, kind="NotDoneYet") from error
