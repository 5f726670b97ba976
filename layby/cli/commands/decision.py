"""`layby decision` and `verify`: who decided what, as a file that proves it without a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..invocation import Invocation, command
from ..options.filters import Run
from ..options.signing import KeysFile, keys_file
from ..options.standard_input import read_file
from ..screen.errors import FAILED, OK, CliError
from ..screen.output import print_json, stdout
from ..screen.progress import progress
from ..target.connection import with_client

if TYPE_CHECKING:
    from ...client import Client
    from ...client.decision_file import Check, Decision


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(decision)
    app.command()(verify)


@command
def decision(
    call: Invocation,
    question: Annotated[
        str, typer.Argument(metavar="QUESTION", help="Id of the question.", show_default=False)
    ],
    out: Annotated[
        str, typer.Option(metavar="FILE", help="File to write; - is standard output.")
    ] = "-",
    run: Run = None,
    keys: KeysFile = None,
) -> None:
    """Write who decided what to a file that proves it.

    It contains the question, its answers, receipts and log entries. `layby verify` checks the file
    without a server. With --run, the question is found faster.

    Example: layby decision qtgwx5b72zed --out decision.json
    """
    import msgspec

    with progress("questions read", quiet=call.json) as report:

        async def ask(client: Client) -> Decision:
            return await client.decision(question, run=run, progress=report)

        found = with_client(call, ask, keys=keys_file(keys))
    data = msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n"
    if out == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        Path(out).write_bytes(data)
    except OSError as error:
        raise CliError(
            f"cannot write {out}: {error.strerror}", "check the path and its permissions"
        ) from error
    if call.json:
        print_json({"file": out, "sha256": found.question.sha256})
    else:
        stdout().print(f"{out}  {found.outcome.status}  {found.question.sha256}", soft_wrap=True)


@command
def verify(
    call: Invocation,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="File that `layby decision` has written.", show_default=False
        ),
    ],
    keys: KeysFile = None,
) -> int:
    """Check a decision file without a server.

    Checks its digests, log, receipt and signature. With --keys, the answer must be signed with one
    of these keys. Without --keys, a question that requires a signed answer does not pass: the file
    itself cannot prove whose key it is.

    Exit code 0: every check passed. 1: a check failed; the output says which.

    Example: layby verify decision.json --keys keys.json
    """
    from ...client.decision import verify as checks_of
    from ...client.key_file import read_keys

    found = _read(file)
    path = keys_file(keys)
    checks = checks_of(found, None if path is None else read_keys(path))
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

    from ..screen.untrusted_text import one_line

    for check in checks:
        mark = ("ok      ", "green") if check.ok else ("refused ", "red")
        stdout().print(Text.assemble(mark, one_line(check.what)), soft_wrap=True)
    ended = found.outcome
    answer = f"{one_line(ended.by) or 'somebody'}: {one_line(ended.answer, 300)}"
    outcome = f"{ended.status}  {answer}" if ended.status == "answered" else ended.status
    for vote in ended.votes:
        outcome += f"\nvote      {one_line(vote.by)} for {vote.role}: {one_line(vote.text, 300)}"
    style = "bold" if all(check.ok for check in checks) else "dim"
    stdout().print(Text(f"{one_line(found.question.question, 300)}\n{outcome}", style=style))


def _read(path: str) -> Decision:
    import msgspec

    from ...client.decision_file import FORMAT, Decision

    try:
        found = msgspec.json.decode(read_file(path), type=Decision)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CliError(
            f"{path} is not a decision: {error}",
            "give a file that `layby decision` has written",
            kind="NotADecision",
        ) from error
    if found.format != FORMAT:
        raise CliError(
            f"{path} has the format {found.format!r}, and this release reads {FORMAT!r}",
            "check it with the release of Layby that wrote it",
            kind="NotADecision",
        )
    return found
