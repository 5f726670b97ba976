"""Seeded faults of the engine, put into a worker before it starts: what the checker must catch.

Each takes away one guard. A mutant whose target is gone raises, rather than passing for a survivor.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from layby.actors.agents import ledger
from layby.actors.people import answer, arrivals, deadlines, human, open_questions, receipts
from layby.actors.people import answer_admission as admission
from layby.actors.people import question_publisher as showing
from layby.actors.people import tickets as parked
from layby.actors.state import merge
from layby.actors.workflows import children, workflow
from layby.actors.workflows import event_waits as waits
from layby.bus import bucket, log, log_subject, mailbox, requests, sealing, vault
from layby.runtime import activation, body, host, index, pending, repairs, run, state, strand
from layby.runtime import delivery_policy as guard
from layby.worker import command_actor

from . import (
    card_mutants,
    claim_mutants,
    console_mutants,
    group_mutants,
    inquiry_mutants,
    ladder_mutants,
    vote_mutants,
)
from .replacing import replace


@dataclass(frozen=True)
class Mutant:
    """One fault, the campaigns that should catch it, the likeliest first, and as what."""

    apply: Callable[[], None]
    scenarios: tuple[str, ...]
    shows: tuple[str, ...]
    """Kinds of violation; others may come with them, from a slow machine too."""
    encrypted: bool = False
    """Whether it shows only where what is stored is encrypted."""
    patience: float = 15.0
    """Seconds after which what it has left undone counts as such."""


def apply(name: str) -> None:
    """Put a fault into this process."""
    MUTANTS[name].apply()


def _no(*_: Any) -> bool:
    return False


def _yes(*_: Any) -> bool:
    return True


def command_acked_first() -> None:
    """Acknowledge a command before it is done."""

    def make(take: Any) -> Any:
        async def early(self: Any, delivery: mailbox.Delivery) -> None:
            await delivery.ack()
            await take(self, delivery)

        return early

    replace(command_actor.CommandActor, "take", make)


def command_forgotten() -> None:
    """Do not remember in a run by which command it was cancelled."""
    replace(repairs, "note_command", lambda _: _silent)


def _silent(*_: Any) -> None:
    """Do not do it."""


async def _nothing(*_: Any, **__: Any) -> None:
    """Do not do it."""


def no_fence() -> None:
    """Append without expecting the position to be free."""

    async def append(self: log.Log, run_id: str, n: int, to: str, data: bytes) -> None:
        await self._requests.store(log_subject.subject(to, run_id, n), data)  # pyright: ignore[reportPrivateUsage]

    replace(log.Log, "append", lambda _: append)


def no_second_look() -> None:
    """After a lost append, try the next position without asking whether it still makes sense."""
    replace(run, "conflicts", lambda _: _no)


def ack_before_append() -> None:
    """Acknowledge mail before it is handled."""

    def make(guarded: Any) -> Any:
        async def early(self: Any, name: str, delivery: mailbox.Delivery, handle: Any) -> None:
            await delivery.ack()
            await guarded(self, name, delivery, handle)

        return early

    replace(guard.DeliveryPolicy, "take", make)


def record_not_written() -> None:
    """Show questions without their record."""

    def make(change: Any) -> Any:
        async def only_closed(self: Any, ticket: str, update: Any, *seen: Any) -> None:
            new = update(parked.ParkedRecord(ticket=ticket))
            if all(question.status != "open" for question in new.questions):
                await change(self, ticket, update, *seen)

        return only_closed

    replace(parked.Tickets, "change", make)


def question_not_published() -> None:
    """Ask without telling anybody."""

    def make(store: Any) -> Any:
        async def unless_question(self: Any, subject: str, *more: Any, **options: Any) -> Any:
            if ".question." in subject:
                return requests.PubAck()
            return await store(self, subject, *more, **options)

        return unless_question

    replace(requests.Requests, "store", make)


class _Later:
    """A client that keeps back what would show a question."""

    def __init__(self, real: requests.Requests) -> None:
        self._real = real
        self.kept: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def store(self, subject: str, *more: Any, **options: Any) -> requests.PubAck:
        if ".question." in subject:
            self.kept.append((subject, *more))
            return requests.PubAck()
        return await self._real.store(subject, *more, **options)

    async def stored(self, stream: str, **which: Any) -> requests.Stored | None:
        if stream == "QUESTIONS" and which.get("seq") == 0:
            return requests.Stored(subject="", seq=0, data=b"", at=time.time())
        return await self._real.stored(stream, **which)


def question_shown_last() -> None:
    """Put the record and arm the deadline before the question is shown."""

    def make(show: Any) -> Any:
        async def last(self: showing.QuestionPublisher, *more: Any) -> None:
            twin: Any = copy.copy(self)
            twin._requests = later = _Later(twin._requests)
            await show(twin, *more)
            for question in later.kept:
                await self._requests.store(*question)  # pyright: ignore[reportPrivateUsage]

        return last

    replace(showing.QuestionPublisher, "show", make)


def answer_not_bound() -> None:
    """Let an answer that names a question close whichever is the oldest."""

    def make(named: Any) -> Any:
        def anyhow(asked: list[Any], given: answer.Given) -> Any:
            oldest = next((q for q in asked if q.status == "open"), None)
            return oldest if given.question_id else named(asked, given)

        return anyhow

    replace(answer, "_named", make)


def ambiguous_taken_as_oldest() -> None:
    """Let an answer that may be for several questions close the oldest."""

    def make(unnamed: Any) -> Any:
        def oldest(asked: list[Any], seq: int, at: float) -> Any:
            verdict = unnamed(asked, seq, at)
            if verdict.outcome != "ambiguous":
                return verdict
            return answer.Verdict("accepted", verdict.candidates[0])

        return oldest

    replace(answer, "_unnamed", make)


def later_answer_wins() -> None:
    """Let whichever answer is handled first close its question."""
    replace(arrivals.Arrivals, "may_have_earlier", lambda _: _no)


def answer_closes_later_question() -> None:
    """Let an answer that names none close a question that was asked after it."""

    def make(unnamed: Any) -> Any:
        def timeless(asked: list[Any], seq: int, at: float) -> Any:
            del at
            seen = [msgspec.structs.replace(q, since=0.0, deadline="9999-01-01") for q in asked]
            return unnamed(seen, seq, 1.0)

        return timeless

    replace(answer, "_unnamed", make)


def everybody_goes_on() -> None:
    """Let any mail's handler go on, whoever owns the strand."""
    replace(strand.Strand, "may_continue", lambda _: _yes)


def no_receipts() -> None:
    """Tell nobody what became of an answer that lost."""

    def make(issue: Any) -> Any:
        async def only_good(self: Any, receipt: answer.Receipt, *more: Any) -> None:
            if receipt.outcome == "accepted":
                await issue(self, receipt, *more)

        return only_good

    replace(receipts.Receipts, "issue", make)


def ended_not_tidied() -> None:
    """Leave the questions of a cancelled run open in the record."""
    replace(human.Human, "tidy", lambda _: _nothing)


def record_without_compare() -> None:
    """Write records and rows over whatever is there."""

    def make(put: Any) -> Any:
        async def anyhow(self: Any, key: str, value: bytes, **options: Any) -> int:
            options["revision"] = None
            return int(await put(self, key, value, **options))

        return anyhow

    replace(bucket.Bucket, "put", make)


def effect_before_record() -> None:
    """Begin the next effect before the result of the last is recorded."""
    replace(activation.Activation, "before_effect", lambda _: _nothing)
    replace(pending, "_VISIBLE_WITHIN", lambda _: 1e6)


def effect_beside_record() -> None:
    """Begin the next effect while the result of the last is in memory alone."""
    replace(activation.Activation, "before_effect", lambda _: _nothing)


def forged_answers_count() -> None:
    """Look at no signature, neither when an answer comes nor when it stands in the log."""
    replace(admission, "refused", lambda _: _silent)
    replace(run, "refused", lambda _: _silent)


def expiry_ignores_answers() -> None:
    """Let a deadline win over an answer that was in time and is not read yet."""
    replace(deadlines.Deadlines, "_record_in_time", lambda _: _nothing)


def no_catching_up() -> None:
    """Trust what is in memory when mail comes again."""
    replace(host.Host, "may_repeat", lambda _: _no)
    replace(run.RunCache, "mark_unverified", lambda _: _silent)


def sleeps_not_armed_again() -> None:
    """Forget a wake-up when the worker dies between its record and its timer."""
    replace(host, "rearm_wake_ups", lambda _: _nothing)


def no_index() -> None:
    """Never write the rows that people list."""
    replace(index.Index, "reflect", lambda _: _nothing)


def children_left_behind() -> None:
    """Let children go on without their parents."""
    replace(children.ChildRuns, "end", lambda _: _nothing)


def closed_questions_stay_listed() -> None:
    """Leave the rows of questions that are closed."""
    replace(open_questions.OpenQuestions, "unlist", lambda _: _no)


def _any_id(*_: Any) -> str:
    return os.urandom(8).hex()


def event_starts_a_run_each_time() -> None:
    """Let every delivery of an event start a run of its own."""

    replace(workflow, "run_id", lambda _: _any_id)


def key_of_each_try() -> None:
    """Give each try of a step another idempotency key."""

    def make(key: Any) -> Any:
        def new(self: Any, name: str = "") -> str:
            return f"{key(self, name)}/{os.urandom(4).hex()}"

        return new

    replace(body.Body, "idempotency_key", make)


def stale_no() -> None:
    """Say no to an answer or deadline from what this worker remembers."""
    replace(parked.Tickets, "get_newest", lambda _: parked.Tickets.get)


def _none_consumed(*_: Any) -> frozenset[int]:
    return frozenset()


def event_given_twice() -> None:
    """Give a wait what an earlier wait of its run has consumed."""
    replace(state.RunState, "consumed_before", lambda _: _none_consumed)


def early_events_missed() -> None:
    """Look for no event that was stored before its wait was registered."""

    async def none(_: Any, live: Any, record: Any, after: int, since: Any) -> Any:
        del live, record, since
        return after, None

    replace(waits.WaitActor, "_early", lambda _: none)


def last_change_wins() -> None:
    """Let each tool of a response change the state as it was at its start, and the last one win."""

    def blind(self: ledger.Ledger) -> ledger.View:
        return ledger.View(self.values, merge.Merged(self.values.both, {}), frozenset())

    replace(ledger.Ledger, "view", lambda _: blind)
    replace(merge._Merging, "_is_news", lambda _: _no)  # pyright: ignore[reportPrivateUsage]


def changed_body_ends_its_run() -> None:
    """Take what people can mend for a failure."""
    replace(host, "blocker_of", lambda _: _silent)


def blocked_untold() -> None:
    """Tell no worker that a run is blocked."""
    replace(host.Host, "_announce", lambda _: _nothing)


def position_not_bound() -> None:
    """Seal entries for no place: one could be moved to another."""

    def make(seal: Any) -> Any:
        def unbound(self: Any, data: Any, _place: Any) -> Any:
            return seal(self, data, "")

        return unbound

    replace(sealing.Cipher, "seal", make)


def key_destroyed_before_the_end() -> None:
    """Destroy a run's key while the run goes on, as a purge that believes a row alone would."""

    def make(append: Any) -> Any:
        async def early(self: log.Log, run_id: str, n: int, to: str, data: bytes) -> None:
            await append(self, run_id, n, to, data)
            keys = self.vault
            if n == 2 and isinstance(keys, vault.Vault):
                cipher = await keys.of_run(run_id)
                assert cipher is not None
                await keys.secrets.destroy(cipher.key.record, [cipher.key.slot])

        return early

    replace(log.Log, "append", make)


def logs_written_plain() -> None:
    """Store the entries of a log as they are."""

    async def plain(self: vault.Vault, run: str, n: int, data: bytes, place: str) -> bytes:
        await self.begin(run)
        del n, place
        return data

    def none_cached(self: vault.Vault, run: str) -> None:
        del self, run

    replace(vault.Vault, "sealed", lambda _: plain)
    replace(vault.Vault, "cached", lambda _: none_cached)


_TWICE = ("step ran twice without a fault", "recorded step ran again")

MUTANTS: dict[str, Mutant] = (
    {
        made.__name__: Mutant(made, scenarios, shows)
        for made, scenarios, shows in (
            (
                no_fence,
                ("zombies", "random_kills", "race"),
                ("fence broken", "unfoldable log", "wrong end"),
            ),
            (
                no_second_look,
                ("zombies", "random_kills", "race"),
                ("fence broken", "effect applied 2 times"),
            ),
            (ack_before_append, ("crash_points", "random_kills"), ("stuck run", "lost run")),
            (
                record_not_written,
                ("race",),
                ("wrong receipt", "answer without receipt", "stuck run"),
            ),
            (question_not_published, ("race", "random_kills"), ("lost question",)),
            (
                question_shown_last,
                ("crash_points", "random_kills"),
                ("lost question", "answer closed an unseen question"),
            ),
            (answer_not_bound, ("race", "all_down"), ("answer closed another question",)),
            (
                ambiguous_taken_as_oldest,
                ("race", "random_kills"),
                ("answer closed one of several",),
            ),
            (forged_answers_count, ("signed_answers",), ("a forged answer counted",)),
            (later_answer_wins, ("answer_race",), ("a later answer won",)),
            (
                answer_closes_later_question,
                ("crash_points", "race"),
                ("answer closed an unseen question",),
            ),
            (
                everybody_goes_on,
                ("race", "random_kills"),
                (*_TWICE, "effect before the last record"),
            ),
            (no_receipts, ("race",), ("answer without receipt",)),
            (
                command_acked_first,
                ("crash_points", "random_kills"),
                ("command without outcome", "stuck run"),
            ),
            (command_forgotten, ("race", "random_kills"), ("wrong outcome",)),
            (ended_not_tidied, ("crash_points", "race"), ("status disagrees",)),
            (record_without_compare, ("race", "random_kills"), ("status disagrees", "stuck run")),
            (effect_before_record, ("race", "random_kills"), ("effect before the last record",)),
            (effect_beside_record, ("race", "random_kills"), ("effect before the last record",)),
            (expiry_ignores_answers, ("all_down", "race"), ("answer in time refused",)),
            (no_catching_up, ("handovers", "server_kills"), ("recorded step ran again",)),
            (sleeps_not_armed_again, ("crash_points", "random_kills"), ("stuck run",)),
            (no_index, ("race",), ("index disagrees with the log",)),
            (children_left_behind, ("race", "random_kills"), ("child outlives its parent",)),
            (closed_questions_stay_listed, ("all_down",), ("index disagrees with the log",)),
            (
                event_starts_a_run_each_time,
                ("crash_points", "random_kills"),
                ("run started twice",),
            ),
            (key_of_each_try, ("crash_points", "random_kills"), ("effect applied 2 times",)),
            (stale_no, ("race", "random_kills"), ("wrong receipt", "stuck run", "lost question")),
            (event_given_twice, ("race", "random_kills"), ("wrong end",)),
            (last_change_wins, ("race", "random_kills"), ("wrong end",)),
            (changed_body_ends_its_run, ("deploys",), ("wrong end",)),
            (blocked_untold, ("deploys",), ("stuck run",)),
            (early_events_missed, ("race", "random_kills"), ("stuck run",)),
        )
    }
    | {
        made.__name__: Mutant(made, ("race", "random_kills"), ("unfoldable log",), encrypted=True)
        for made in (position_not_bound, key_destroyed_before_the_end, logs_written_plain)
    }
    | {made.__name__: Mutant(made, ("votes",), shows) for made, shows in vote_mutants.FAULTS}
    | {made.__name__: Mutant(made, where, shows) for made, where, shows in group_mutants.FAULTS}
    | {
        made.__name__: Mutant(
            made, ("ladders",), shows, patience=25.0
        )  # who waits for the last rung
        for made, shows in ladder_mutants.FAULTS
    }
    | {
        made.__name__: Mutant(made, ("cards",), shows, patience=28.0)  # who waits for a card
        for made, shows in card_mutants.FAULTS
    }
    | {
        made.__name__: Mutant(made, ("claims",), shows, patience=28.0)  # who waits to be asked
        for made, shows in (*claim_mutants.FAULTS, *inquiry_mutants.FAULTS)
    }
    | {
        made.__name__: Mutant(made, ("console",), (shows,), patience=8.0)  # lists are late by one
        for made, shows in console_mutants.FAULTS
    }
)
