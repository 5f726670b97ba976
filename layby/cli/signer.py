"""Whose key signs: a file that `--nkey` or LAYBY_NKEY names, else what the login itself is with."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from ..bus.token import is_word
from .errors import UsageError
from .foreign import safe
from .output import stderr

if TYPE_CHECKING:
    from ..bus.settings import ConnectionSettings
    from ..runtime.nkey import Signer
    from ..signing import Signable, Signed

NKEY = "LAYBY_NKEY"
KEYS = "LAYBY_KEYS"
_HOW = f"name the file with your seed or your credentials with --nkey or {NKEY}"

NkeyFile = Annotated[
    str | None,
    typer.Option(
        "--nkey",
        metavar="FILE",
        help=f"The file with the nkey seed, or the credentials, that you sign with; without it "
        f"{NKEY}, then those you log in with.",
        show_default=False,
    ),
]
KeysFile = Annotated[
    str | None,
    typer.Option(
        "--keys",
        metavar="FILE",
        help=f"The public keys that count: what `layby keys show APP` prints; without it {KEYS}.",
        show_default=False,
    ),
]


def signer_in(nkey: str | None, settings: ConnectionSettings | None = None) -> Signer:
    """The key to sign with. Raises UsageError where none is named, InvalidSettings for a bad file.

    Never from an argument or a variable itself: those are seen by others, and kept.
    """
    from ..runtime.nkey import Signer

    of_login = (settings.creds or settings.nkey) if settings is not None else None
    path = nkey or os.environ.get(NKEY) or of_login
    if not path:
        raise UsageError("this question takes signed answers only", _HOW)
    if path.startswith("SU") and path.isalnum() and len(path) > 50:  # noqa: PLR2004  a seed, about
        raise UsageError("that is a seed, and not the file of one", f"{_HOW}; make a new one now")
    return Signer.from_file(path)


def named(who: str | None) -> str:
    """Who signs. Raises UsageError where it can be no word of a subject."""
    if not who or not is_word(who):
        raise UsageError(
            f"{who or 'nobody'!r} can be no name in a subject: say who you are, as the role's "
            "keys have it",
            "with --responder (`layby answer`) or --by (`layby sign`)",
        )
    return who


def keys_in(path: str | None) -> str | None:
    """The file of keys that counts, if one is named."""
    return path or os.environ.get(KEYS) or None


def print_signed(question: Signable, signed: Signed) -> None:
    """Show on stderr what has been signed, all of it: a signature is for what was seen."""
    from rich.text import Text

    said = signed.statement
    console = stderr()
    lines = [question.question, question.context]
    if question.call is not None:
        lines.append(f"{question.call.tool} {question.call.arguments}")
    for line in filter(None, lines):
        console.print(Text(safe(line), style="dim"), soft_wrap=True)
    head = f"signed as {said.by}, with {signed.signature.key}"
    console.print(Text(f"{head}\nSHA-256 of what is asked: {said.asked}"), soft_wrap=True)
    console.print(Text(f"the answer: {safe(said.answer)}"), soft_wrap=True)
