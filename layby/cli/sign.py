"""`layby sign`: sign an answer without a server, for whoever sends it with the nats CLI."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .errors import CliError, UsageError
from .invocation import Invocation, command
from .output import print_json, stdout
from .send import text_or_stdin
from .signer import NkeyFile, named, print_signed, signer_in
from .times import duration


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(sign)


@command
def sign(
    call: Invocation,
    question: Annotated[
        str,
        typer.Argument(
            metavar="QUESTION",
            help="The file with the published question's JSON; - reads it from standard input.",
            show_default=False,
        ),
    ],
    text: Annotated[str, typer.Argument(help="The answer.", show_default=False)],
    by: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Who you are, as the role's keys have it.", show_default=False
        ),
    ],
    nkey: NkeyFile = None,
    valid: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="How long it may take until it is stored; without it, until the deadline.",
            show_default=False,
        ),
    ] = None,
    header: Annotated[
        bool,
        typer.Option("--header", metavar="", help="Print the header's value and nothing else."),
    ] = False,
) -> None:
    """Sign an answer to a question, and print the `nats pub` line that sends it.

    Needs no server. What is signed is shown on standard error: the question whole, the exact
    arguments of a call, their SHA-256, and the answer.

    Example: layby sign question.json approve --by ada --nkey ada.nk
    """
    from ..runtime.signature import HEADER
    from ..signing import Published, sign_answer
    from .shell import nats_publish

    if question == "-" and text == "-":
        raise UsageError("standard input can be the question or the answer, not both")
    asked = Published.read(_read(question))
    person = named(by)
    signed = sign_answer(
        asked,
        text_or_stdin(text),
        by=person,
        signer=signer_in(nkey),
        valid=None if valid is None else duration(valid),
    )
    value = str(signed.signature)
    subject = asked.subject(person)
    body = {"questionId": asked.id, "answer": signed.statement.answer}
    print_signed(asked, signed)
    if call.json:
        print_json({"subject": subject, "headers": {HEADER: value}, "body": body})
    elif header:
        stdout().print(value, soft_wrap=True)
    else:
        line = nats_publish("", subject, body, headers={HEADER: value})
        stdout().print(line, soft_wrap=True)


def _read(path: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CliError(f"cannot read {path}: {error.strerror}") from error
