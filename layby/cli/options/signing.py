"""The options for signed answers: the key that signs, and the keys that are trusted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from ...bus.token import is_word
from ..screen.errors import UsageError

if TYPE_CHECKING:
    from ...bus.settings import ConnectionSettings
    from ...runtime.nkey import Signer

NKEY = "LAYBY_NKEY"
KEYS = "LAYBY_PUBLIC_KEYS"
_HOW = f"name the file with your seed or your credentials with --nkey or {NKEY}"
_SEED_LENGTH = 50
"""A seed has a few characters more."""

NkeyFile = Annotated[
    str | None,
    typer.Option(
        "--nkey",
        metavar="FILE",
        help=f"File with the nkey seed or credentials to sign with; default: {NKEY}, "
        "else those you log in with.",
        show_default=False,
    ),
]
KeysFile = Annotated[
    str | None,
    typer.Option(
        "--keys",
        metavar="FILE",
        help=f"File of trusted public keys, as `layby keys show APP` prints them; default: {KEYS}.",
        show_default=False,
    ),
]


def signer_in(nkey: str | None, settings: ConnectionSettings | None = None) -> Signer:
    """The key to sign with: that of a file, never one given as an argument or a variable.

    Others can see those, and shells keep them.

    Raises:
        UsageError: No file is named, or a seed is given instead of a file.
        InvalidSettings: The file does not hold a usable key.
    """
    from ...runtime.nkey import Signer

    of_login = (settings.creds or settings.nkey) if settings is not None else None
    path = nkey or os.environ.get(NKEY) or of_login
    if not path:
        raise UsageError("this question takes signed answers only", _HOW)
    if path.startswith("SU") and path.isalnum() and len(path) > _SEED_LENGTH:
        raise UsageError(
            "--nkey takes a file, and this is the seed itself",
            f"the seed is exposed now: make a new one with `layby keys new FILE`, then {_HOW}",
        )
    return Signer.from_file(path)


def signing_name(who: str | None) -> str:
    """The name of the signer.

    Raises:
        UsageError: It cannot be part of a subject, or there is none.
    """
    if not who or not is_word(who):
        problem = f"{who!r} cannot be used as a name in a subject" if who else "no name is given"
        raise UsageError(
            problem,
            "give your name as the role's keys have it, with --responder (`layby answer`) or --by "
            "(`layby sign`)",
        )
    return who


def keys_file(path: str | None) -> str | None:
    """The file of trusted keys, if one is named."""
    return path or os.environ.get(KEYS) or None
