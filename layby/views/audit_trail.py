"""The audit trail: the commands of people, each with its outcome, newest first."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from ..bus.errors import StreamMissing
from ..bus.reading import backwards, sequence, stored_at
from ..bus.requests import Requests
from ..bus.wire import Message
from ..commands import (
    DEAD_DROP,
    DEAD_RETRY,
    ERASE,
    PURGE,
    ROTA,
    STREAM,
    TRAIL,
    Command,
    CommandOutcome,
    parse_subject,
)
from ..runtime.duration import human
from ..runtime.envelope import UNREADABLE
from ..runtime.times import iso
from .listing import Progress
from .rows import AuditRow

_PROGRESS = 1_000
_SHOWN = 3
"""Changes of a rota that are spelled out."""
_decode = msgspec.json.Decoder(Command).decode
_decode_outcome = msgspec.json.Decoder(CommandOutcome).decode


async def read_audit_trail(
    requests: Requests,
    limit: int,
    *,
    since: float | None = None,
    who: str | None = None,
    verb: str | None = None,
    run: str | None = None,
    progress: Progress | None = None,
) -> list[AuditRow]:
    """The commands that match, newest first, at most `limit` of them.

    Args:
        requests: Where to read.
        limit: At most this many.
        since: Only commands of the last `since` seconds.
        who: Only by this person.
        verb: Only this.
        run: Only of the run with this id.
        progress: Called now and then with how many entries were read.
    """
    oldest = 0.0 if since is None else time.time() - since
    found: list[AuditRow] = []
    async with aclosing(_rows(requests, oldest, progress)) as rows:
        async for row in rows:
            wanted = ((who, row.by), (verb, row.verb), (run, row.run))
            if all(want is None or want == has for want, has in wanted):
                found.append(row)
                if len(found) >= limit:
                    break
    return found


async def _rows(
    requests: Requests, oldest: float, progress: Progress | None
) -> AsyncGenerator[AuditRow]:
    """Every command, newest first. An outcome is stored after its command, so it is read first."""
    names = requests.names
    outcomes: dict[int, CommandOutcome] = {}
    read = 0
    try:
        async with aclosing(
            backwards(requests, names.stream(STREAM), names.subject(TRAIL))
        ) as messages:
            async for message in messages:
                read += 1
                if progress is not None and read % _PROGRESS == 0:
                    progress(read)
                at = stored_at(message)
                if at < oldest:
                    return
                subject = message.headers["Nats-Subject"]
                if names.own(subject).startswith("layby.done."):
                    _note(outcomes, message)
                else:
                    verb, by = parse_subject(names, subject)
                    outcome = outcomes.pop(sequence(message), None)
                    yield _row(message, verb, by, at, outcome)
    except StreamMissing:
        return  # nothing is provisioned yet


def _note(outcomes: dict[int, CommandOutcome], message: Message) -> None:
    try:
        outcome = _decode_outcome(message.data)
    except (*UNREADABLE, ValueError):
        return  # a malformed one must not hide the others
    named = message.headers["Nats-Subject"].rpartition(".")[2]
    if str(outcome.seq) == named:
        outcomes[outcome.seq] = outcome


def _row(
    message: Message, verb: str, by: str, at: float, outcome: CommandOutcome | None
) -> AuditRow:
    try:
        command = _decode(message.data)
    except (*UNREADABLE, ValueError):
        command = Command()
    return AuditRow(
        id=sequence(message),
        at=iso(at),
        by=by,
        verb=verb,
        what=describe(verb, command),
        run=command.run,
        why=command.why,
        asked_at=command.asked_at,
        command=msgspec.to_builtins(command),
        outcome=outcome.outcome if outcome is not None else "waiting",
        reason=outcome.reason if outcome is not None else "",
        done_at=outcome.at if outcome is not None else None,
        again=outcome.again if outcome is not None else False,
        result=outcome.result if outcome is not None else {},
    )


def _rota(command: Command) -> str:
    what = f"shifts of {command.rota}" if command.rota else "absences"
    added = [f"+ {each}" for each in command.add]
    removed = [f"- {each}" for each in command.remove]
    shown = [*added, *removed]
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return f"{what}: {'; '.join(shown[:_SHOWN])}{more}"


def describe(verb: str, command: Command) -> str:
    """What a command is about, in a few words; empty if it does not say."""
    if command.run:
        return f"run {command.run}"
    if verb == PURGE and command.older_than is not None:
        return f"runs that ended {human(command.older_than)} before"
    if verb == ERASE and (command.person or command.thread):
        erased = f"the key of person {command.person}" if command.person else ""
        return erased or f"thread {command.thread} of {command.app}"
    if verb in {DEAD_RETRY, DEAD_DROP} and command.letter:
        return f"dead letter {command.letter}"
    return _rota(command) if verb == ROTA else _runs(command)


def _runs(command: Command) -> str:
    if not command.workflow:
        return ""
    status = f"{command.status} " if command.status else ""
    since = f" of the last {human(command.since)}" if command.since is not None else ""
    return f"all {status}runs of {command.workflow}{since}"
