"""The checker sees what it should: a few seeded faults of the engine, each of which it must catch.

All of them: `python -m tests.chaos mutants`.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from layby.actors.agents.ledger import Ledger
from layby.actors.people import answer
from layby.actors.people.answer import Given, Verdict
from layby.actors.people.judged_answers import JudgedAnswers
from layby.actors.people.tickets import ParkedRecord, with_question
from layby.actors.state import merge
from layby.bus import verification
from layby.bus.names import Names
from layby.runtime import run
from layby.runtime.asking import Asking
from layby.runtime.signature import Signature
from layby.runtime.strand import Strand
from layby.runtime.vouching import Signers
from layby.tools import approval
from tests.acceptance.test_approving import (
    test_the_same_call_on_three_tickets_has_three_digests as three_digests,
)
from tests.acceptance.test_signed_answers import (
    Running,
)
from tests.acceptance.test_signed_answers import (
    test_a_forged_entry_of_the_log_changes_nothing as forged_entry,
)
from tests.acceptance.test_signed_answers import (
    test_a_forged_state_in_the_bucket_parked_approves_nothing as made_up_state,
)
from tests.acceptance.test_signed_answers import (
    test_a_log_that_denies_the_need_for_approval_runs_nothing as no_approval,
)
from tests.acceptance.test_signed_answers import (
    test_a_signature_is_for_one_question as moved_signature,
)
from tests.acceptance.test_signed_answers import (
    test_the_answer_to_another_question_than_the_code_asks_blocks_the_run as other_question,
)
from tests.chaos import answer_trials, neighbours, simulation, state_trials
from tests.chaos.longform import caught
from tests.chaos.mutants import MUTANTS
from tests.chaos.simulation import Broken, World
from tests.engine import Engine

pytestmark = pytest.mark.proof


@pytest.mark.nats
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "mutant",
    [
        "no_receipts",
        "command_forgotten",
        "answer_not_bound",
        "later_answer_wins",
        "forged_answers_count",
        "effect_before_record",
        "no_catching_up",
        "event_given_twice",
        "changed_body_ends_its_run",
        "position_not_bound",
        "key_destroyed_before_the_end",
        "logs_written_plain",
        "answer_acked_before_it_is_stored",
        "feed_drops_what_was_missed",
        "one_person_is_two_votes",
        "every_vote_is_told_it_decided",
        "rung_fires_twice",
        "rung_before_its_time",
        "lost_to_every_channel",
        "second_claim_wins",
    ],
)
async def test_the_checker_catches(mutant: str) -> None:
    by, _ = await caught(mutant, seed=1)
    assert by, f"{mutant} survived {MUTANTS[mutant].scenarios}"


def _no(*_: object) -> bool:
    return False


def _yes(*_: object) -> bool:
    return True


def broken(schedules: int = 3_000) -> bool:
    """Whether some schedule breaks a promise."""
    for seed in range(1, schedules):
        try:
            World(seed).run()
        except (Broken, AssertionError, ValueError, KeyError):
            return True
    return False


def test_the_simulation_catches_a_writer_that_does_not_look_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(simulation, "conflicts", _no)
    assert broken()


def test_the_simulation_catches_a_handler_that_continues_another_mails_strand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Strand, "may_continue", _yes)
    assert broken()


def test_the_simulation_catches_a_record_that_is_not_kept_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def first_only(record: ParkedRecord, *more: Any) -> ParkedRecord:
        return record if record.questions else simulation_with(record, *more)

    simulation_with = with_question
    monkeypatch.setattr(simulation, "with_question", first_only)
    assert broken()


def test_the_simulation_catches_an_answer_that_closes_a_later_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judge = answer.judge

    def timeless(record: Any, role: str, given: Given, *, seq: int, at: float) -> Verdict:
        return judge(record, role, given, seq=seq, at=at + 1e12)

    monkeypatch.setattr(simulation, "judge", timeless)
    assert broken()


def test_the_simulation_catches_an_answer_that_is_not_bound_to_its_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judge = answer.judge

    def unbound(record: Any, role: str, given: Given, *, seq: int, at: float) -> Verdict:
        return judge(record, role, given._replace(question_id=""), seq=seq, at=at)

    monkeypatch.setattr(simulation, "judge", unbound)
    assert broken()


def misplaced(trials: int = 400) -> bool:
    """Whether some mix of parallel tools ends in a state that no order of them gives."""
    for seed in range(trials):
        try:
            state_trials.Trial(Random(seed)).run()  # noqa: S311
        except state_trials.Broken:
            return True
    return False


def test_the_trials_catch_a_merge_in_which_the_last_writer_wins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(merge._Merging, "_is_news", _no)
    assert misplaced()


def test_the_trials_catch_changes_that_are_taken_in_the_order_of_the_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Ledger, "_position", _no)
    assert misplaced()


def misjudged(trials: int = 600) -> bool:
    """Whether some mix of answers and changes is judged otherwise than from the first answer on."""
    for seed in range(trials):
        try:
            answer_trials.Trial(Random(seed)).run()  # noqa: S311
        except answer_trials.Broken:
            return True
    return False


def _all_again(self: Any, contest: Any, _before: float) -> None:
    for each in self._decisive:
        contest.add(each)


def _judged_only(self: Any, contest: Any, sent: Any) -> None:
    contest.add(sent)
    self.end = sent.seq


def _but(field: str) -> Any:
    """Compare all that answers are judged by, but for one thing."""
    holds = JudgedAnswers.holds

    def blind(self: Any, now: Any) -> bool:
        return holds(self, now._replace(**{field: getattr(self._basis, field)}))

    return blind


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("holds", _yes),
        ("holds", _but("interruptions")),
        ("holds", _but("deadlines")),
        ("_has_come", _yes),
        ("replay", _all_again),
        ("add", _judged_only),
    ],
    ids=[
        "old_judgements_always_hold",
        "server_that_forgets_is_not_noticed",
        "other_deadlines_do_not_matter",
        "other_votes_do_not_matter",
        "judged_by_what_came_later",
        "what_decides_is_not_remembered",
    ],
)
def test_the_trials_catch_answers_that_are_judged_by_what_was(
    monkeypatch: pytest.MonkeyPatch, name: str, fault: Any
) -> None:
    monkeypatch.setattr(JudgedAnswers, name, fault)
    assert misjudged()


@pytest.mark.nats
async def test_a_digest_without_its_question_would_be_seen(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approval, "question_digest", _same)
    with pytest.raises(AssertionError):
        await three_digests(engine)


def _same(digest: str, _question: str, _salt: str = "") -> str:
    return digest


def _unchanged(_: Names, name: str) -> str:
    return name


@pytest.mark.nats
async def test_neighbours_have_no_trouble_with_each_other(clean_nats: str) -> None:
    assert await neighbours.trouble(clean_nats) == ""


@pytest.mark.nats
@pytest.mark.parametrize(
    ("owner", "name", "fault"),
    [
        (Names, "subject", _unchanged),
        (Names, "stream", _unchanged),
        (Names, "guest", _unchanged),
        (verification, "is_own", _yes),
    ],
    ids=["one_subject_for_all", "one_stream_for_all", "one_consumer_for_all", "all_is_ours"],
)
async def test_neighbours_catch_names_that_are_not_apart(
    clean_nats: str, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, fault: Any
) -> None:
    monkeypatch.setattr(owner, name, fault)
    monkeypatch.setattr(neighbours, "WITHIN", 3.0)
    assert await neighbours.trouble(clean_nats)


def _nobody(*_: Any) -> approval.Needed:
    return approval.Needed()


def _silent(*_: object) -> None:
    """Do not look."""


@pytest.mark.nats
@pytest.mark.parametrize(
    ("owner", "name", "fault", "attack"),
    [
        (run, "refused", _silent, forged_entry),
        (Asking, "_check_same_question", _silent, other_question),
        (Signers, "__bool__", _no, made_up_state),
        (Signature, "covers", _yes, moved_signature),
        (approval, "declared_approvers", _nobody, no_approval),
    ],
    ids=[
        "unsigned_answers_count",
        "whatever_was_asked_counts",
        "parked_state_is_believed",
        "signature_for_any_question",
        "recorded_role_is_believed",
    ],
)
async def test_an_attack_on_signed_answers_catches(
    layby_running: Running,
    monkeypatch: pytest.MonkeyPatch,
    *,
    owner: Any,
    name: str,
    fault: Any,
    attack: Any,
) -> None:
    monkeypatch.setattr(owner, name, fault)
    with pytest.raises(AssertionError):  # of the attack, or that the run has gone elsewhere
        await attack(layby_running)
