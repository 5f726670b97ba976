"""What a decision's file shows about reminders and escalations. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..runtime.entry import Answered, Expired, Record
from ..runtime.ladder_records import Laddered, Reached, named
from ..runtime.quorum import roles_of
from ..runtime.times import iso
from .decision_file import Check, Checks, Decision, Rung


def check_ladder(decision: Decision, records: Iterable[Record]) -> Checks:
    """Check that the log has the file's ladder, and that each message belongs to a rung."""
    if decision.ladder is None:
        return  # an earlier release has written it
    records = list(records)
    logged = ladder_of(decision.question.id, records)
    for place, (ours, theirs) in enumerate(zip(decision.ladder, logged, strict=False)):
        if not _is_same(ours, theirs):
            yield Check(ok=False, what=f"the log has another rung {place}: {in_words(theirs)}")
    if len(decision.ladder) != len(logged):
        count = len(decision.ladder)
        yield Check(ok=False, what=f"the file has {count} rungs, and the log {len(logged)}")
    elif logged:
        reached = sum(rung.entry > 0 for rung in logged)
        yield Check(ok=True, what=f"{reached} of {len(logged)} rungs were reached")
    for rung in decision.ladder:
        times = [entry.at for entry in decision.entries if entry.n == rung.entry]
        if rung.entry and times != [rung.reached]:
            what = f"the entry {rung.entry} of a rung was not stored at {rung.reached}"
            yield Check(ok=False, what=what)
    yield from _check_messages(decision, logged)


def ladder_of(question: str, records: Iterable[Record], places: Sequence[int] = ()) -> list[Rung]:
    """The ladder of a question, from the records of its log.

    `places` has the position of each record. Without it, `entry` only says whether a rung was
    reached.
    """
    rungs: list[Rung] = []
    is_over = False
    for number, record in enumerate(records):
        if isinstance(record, Laddered) and record.id == question and not rungs:
            rungs = [
                Rung(kind=rung.kind, due=iso(rung.at), to=rung.to, rota=rung.rota)
                for rung in record.rungs
            ]
        elif isinstance(record, Answered | Expired) and record.id == question:
            is_over = True
        elif isinstance(record, Reached) and record.id == question and not is_over:
            n = places[number] if places else 1
            if 0 <= record.rung < len(rungs) and not rungs[record.rung].entry:
                rungs[record.rung] = _reached(rungs[record.rung], record, n)
    return rungs


def _reached(rung: Rung, record: Reached, n: int) -> Rung:
    return Rung(
        kind=rung.kind,
        due=rung.due,
        to=rung.to,
        rota=rung.rota,
        entry=n,
        told=list(record.told),
        absent=dict(record.absent),
        nobody=record.nobody,
        early=record.early,
    )


def _is_same(ours: Rung, theirs: Rung) -> bool:
    return _facts(ours) == _facts(theirs)


def _facts(rung: Rung) -> tuple[object, ...]:
    about = (rung.kind, rung.due, rung.to, rung.rota, bool(rung.entry))
    return (*about, rung.told, rung.absent, rung.nobody, rung.early)


def in_words(rung: Rung) -> str:
    """A rung in words."""
    whom = f" to {rung.to}" if rung.to else ""
    told = "nobody was on duty" if rung.nobody else ", ".join(rung.told)
    how = f"reached{f' ({told})' if told else ''}" if rung.entry else "not reached"
    return f"{rung.kind}{whom}, {how}"


def _check_messages(decision: Decision, rungs: Sequence[Rung]) -> Checks:
    roles = roles_of(decision.question)
    for shown in decision.shown:
        if shown.rung is None:
            continue
        rung = rungs[shown.rung] if 0 <= shown.rung < len(rungs) else None
        what = f"message {shown.seq} asked again for rung {shown.rung}"
        if rung is None or not rung.entry:
            yield Check(ok=False, what=f"{what}, which was not reached")
        elif shown.told != named(rung.told, rung.kind, shown.role, roles):
            told = ", ".join(shown.told) or "nobody by name"
            yield Check(
                ok=False, what=f"{what} and told {told}, and the log says: {in_words(rung)}"
            )
        else:
            yield Check(ok=True, what=what)
