"""`layby decision` and `verify`: who decided what, as a file that proves it without a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .connected import with_client
from .errors import FAILED, OK, CliError
from .invocation import Invocation, command
from .output import print_json, stdout
from .progress import progress
from .signer import KeysFile, keys_in

if TYPE_CHECKING:
    from ..client import Client
    from ..decision import Check, Decision


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(decision)
    app.command()(verify)


@command
def decision(
    call: Invocation,
    question: Annotated[
        str, typer.Argument(metavar="QUESTION", help="The question's id.", show_default=False)
    ],
    out: Annotated[
        str, typer.Option(metavar="FILE", help="Where to write it; - is standard output.")
    ] = "-",
    run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Its run, or the ticket of it: saves a look through all questions.",
            show_default=False,
        ),
    ] = None,
    keys: KeysFile = None,
) -> None:
    """Write down who decided what: the question, the answers, receipts and entries of the log.

    `layby verify` looks at the file without a server.

    Example: layby decision qtgwx5b72zed --out decision.json
    """
    import msgspec

    with progress("questions", quiet=call.json) as tell:

        async def ask(client: Client) -> Decision:
            return await client.decision(question, run=run, progress=tell)

        found = with_client(call, ask, keys=keys_in(keys))
    data = msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n"
    if out == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        Path(out).write_bytes(data)
    except OSError as error:
        raise CliError(f"cannot write {out}: {error.strerror}") from error
    if call.json:
        print_json({"file": out, "sha256": found.question.sha256})
    else:
        stdout().print(f"{out}  {found.outcome.status}  {found.question.sha256}", soft_wrap=True)


@command
def verify(
    call: Invocation,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file.", show_default=False)],
    keys: KeysFile = None,
) -> int:
    """Look at a decision without a server: digests, log, receipt, signature.

    With --keys what was answered must be signed with one of these keys. Without them a question
    whose answer must be signed does not pass: the file itself cannot say whose a key is.

    Exit code 0: everything fits. 1: something does not, and it says what.

    Example: layby verify decision.json --keys keys.json
    """
    from ..decision import verify as look
    from ..key_file import read_keys

    found = _read(file)
    path = keys_in(keys)
    checks = look(found, None if path is None else read_keys(path))
    ok = all(check.ok for check in checks)
    if call.json:
        print_json(
            {
                "ok": ok,
                "question": found.question.id,
                "outcome": found.outcome,
                "checks": [check._asdict() for check in checks],
            }
        )
    else:
        _print(found, checks)
    return OK if ok else FAILED


def _print(found: Decision, checks: list[Check]) -> None:
    from rich.text import Text

    from .foreign import one_line

    for check in checks:
        mark = ("ok      ", "green") if check.ok else ("refused ", "red")
        stdout().print(Text.assemble(mark, one_line(check.what)), soft_wrap=True)
    ended = found.outcome
    said = f"{one_line(ended.by) or 'somebody'}: {one_line(ended.answer, 300)}"
    outcome = f"{ended.status}  {said}" if ended.status == "answered" else ended.status
    style = "bold" if all(check.ok for check in checks) else "dim"
    stdout().print(Text(f"{one_line(found.question.question, 300)}\n{outcome}", style=style))


def _read(path: str) -> Decision:
    import msgspec

    from ..decision import FORMAT, Decision

    try:
        found = msgspec.json.decode(Path(path).read_bytes(), type=Decision)
    except OSError as error:
        raise CliError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CliError(f"{path} is not a decision: {error}", kind="NotADecision") from error
    if found.format != FORMAT:
        raise CliError(
            f"{path} is of the format {found.format!r}, and this release reads {FORMAT!r}",
            kind="NotADecision",
        )
    return found
