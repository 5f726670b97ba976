"""`layby sign`: sign an answer without a server, to send with the nats CLI."""

from __future__ import annotations

from typing import Annotated

import typer

from ..invocation import Invocation, command
from ..options.signing import NkeyFile, signer_in, signing_name
from ..options.standard_input import file_or_stdin, text_or_stdin
from ..screen.errors import UsageError
from ..screen.output import print_json, stdout
from ..screen.question import print_signed
from ..screen.times import duration


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
            help="File with the published question's JSON; - reads it from standard input.",
            show_default=False,
        ),
    ],
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT", help="Answer; - reads it from standard input.", show_default=False
        ),
    ],
    by: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Your name, as the role's keys have it.", show_default=False
        ),
    ],
    nkey: NkeyFile = None,
    valid: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Time in which the answer must be stored, for example 10m; default: the deadline.",
            show_default=False,
        ),
    ] = None,
    header: Annotated[
        bool,
        typer.Option("--header", metavar="", help="Print only the value of the header."),
    ] = False,
) -> None:
    """Sign an answer, and print the `nats pub` line that sends it.

    Needs no server. Standard error shows what is signed: the complete question, the exact arguments
    of a call, their SHA-256, and the answer.

    Example: layby sign question.json approve --by ada --nkey ada.nk
    """
    from ...client.signing import Published, sign_answer
    from ...runtime.signature import HEADER
    from ..screen.shell import nats_publish

    if question == "-" and text == "-":
        raise UsageError(
            "standard input can be the question or the answer, not both",
            "give one of them as a file or as text",
        )
    published = Published.read(file_or_stdin(question))
    person = signing_name(by)
    signed = sign_answer(
        published,
        text_or_stdin(text),
        by=person,
        signer=signer_in(nkey),
        valid=None if valid is None else duration(valid),
    )
    value = str(signed.signature)
    subject = published.subject(person)
    body = {"questionId": published.id, "answer": signed.statement.answer}
    print_signed(published, signed)
    if call.json:
        print_json({"subject": subject, "headers": {HEADER: value}, "body": body})
    elif header:
        stdout().print(value, soft_wrap=True)
    else:
        line = nats_publish("", subject, body, headers={HEADER: value})
        stdout().print(line, soft_wrap=True)
