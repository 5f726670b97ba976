"""A decision's file shows who was asked, reminded and counted, and each lie in it is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
import pytest

from layby import Agent, Approvers, Role, Rung, Step, tool
from layby.actors.people.rota import Window
from layby.actors.people.rota_book import RotaBook
from layby.client.decision import verify
from layby.client.decision_file import Decision, Logged
from layby.operations.provisioning import provision
from layby.runtime.card_records import Notified
from layby.runtime.entry import Answered, Voted
from layby.runtime.envelope import decode, encode
from layby.runtime.ladder_records import Reached
from layby.testing import MemoryChannel
from tests.acceptance.test_votes import FINANCE, LEGAL, said
from tests.engine import Engine, app_of, desk, until
from tests.scripted import Scripted, calls, says

pytestmark = pytest.mark.nats

replaced = msgspec.structs.replace
Forge: TypeAlias = Callable[[Decision], Decision]


def refused(found: Decision) -> list[str]:
    """What is wrong with a file, in words."""
    return [check.what for check in verify(found) if not check.ok]


async def voted_on(engine: Engine) -> Decision:
    """The file of a decision that one of finance and one of legal have made."""

    async def ask(_: dict[str, Any], step: Step) -> bool:
        groups = {"finance": 1, "legal": 1}
        answer = await step.ask("finance", "Pay?", answer=bool, groups=groups, exclude=["cleo"])
        return answer.value

    async with engine.works(app_of(ask, roles=[FINANCE, LEGAL])):
        run = await engine.start("T1")
        asked = await engine.question()
        for by, role in (("ada", "finance"), ("bob", "finance"), ("dan", "legal")):
            await said(engine, by, "yes", role=role)
        await engine.result(run)
        return await engine.client.decision(asked.id, run=run)


async def escalated(engine: Engine) -> Decision:
    """The file of a question that was escalated, and answered by who was asked then."""

    async def ask(_: dict[str, Any], step: Step) -> str:
        answer = await step.ask(
            "developer",
            "Known?",
            timeout="10m",
            to="person:bob",
            remind=["200ms"],
            escalate=[Rung("300ms", to="role:lead")],
        )
        return answer.text

    dev = Role("developer", rota="dev", channels=[MemoryChannel("oncall")])
    app = app_of(ask, roles=[dev, "lead"])
    await provision(app, engine.settings)
    shift = Window(person="ada", start="2020-01-01T00:00", end="2090-01-01T00:00")
    await RotaBook(engine.wire).change_shifts("dev", lambda _: (shift,))
    async with engine.works(app):
        run = await engine.start("T1")
        await until(lambda: engine.client.questions("lead"))
        [asked] = await engine.client.questions("lead")

        async def carded() -> bool:
            return len((await engine.client.decision(asked.id, run=run)).cards or ()) == 2

        await until(carded)
        receipt = await engine.answer(text="yes", role="lead", responder="lea")
        assert receipt.outcome == "accepted"
        await engine.result(run)
        return await engine.client.decision(asked.id, run=run)


async def test_a_file_says_who_was_asked_and_reminded(engine: Engine) -> None:
    found = await escalated(engine)
    assert refused(found) == []
    assert found.ladder is not None
    rungs = [(rung.kind, rung.to, rung.told, bool(rung.reached)) for rung in found.ladder]
    assert rungs == [
        ("asked", "", ["bob"], True),
        ("reminder", "", ["bob"], True),
        ("escalation", "role:lead", [], True),
    ]
    assert found.question.to == "person:bob"
    shown = [(each.role, each.rung, each.told) for each in found.shown]
    assert shown == [("developer", None, []), ("developer", 1, ["bob"]), ("lead", 2, [])]
    assert [(each.subject, each.by) for each in found.answers] == [("lead.response.T1.lea", "lea")]
    assert found.cards is not None
    cards = {(card.role, card.channel, card.rung, card.status) for card in found.cards}
    assert cards == {("developer", "oncall", None, "sent"), ("developer", "oncall", 1, "sent")}
    places = {entry.n: entry.at for entry in found.entries}
    assert all(places[rung.entry] == rung.reached for rung in found.ladder)


def rung(place: int, **fields: Any) -> Forge:
    def change(found: Decision) -> Decision:
        rungs = list(found.ladder or ())
        rungs[place] = replaced(rungs[place], **fields)
        return replaced(found, ladder=rungs)

    return change


def last_of(name: str, **fields: Any) -> Forge:
    """Change the last one of a list of the file."""

    def change(found: Decision) -> Decision:
        *rest, last = getattr(found, name)
        return replaced(found, **{name: [*rest, replaced(last, **fields)]})

    return change


def without_rungs(found: Decision) -> Decision:
    return replaced(found, ladder=[])


def without_cards(found: Decision) -> Decision:
    return replaced(found, cards=[])


ABOUT_PEOPLE: list[tuple[Forge, str]] = [
    (rung(1, told=["zoe"]), "another rung 1"),
    (rung(2, to="role:boss"), "another rung 2"),
    (rung(2, entry=0, reached=""), "another rung 2"),
    (rung(2, reached="2020-01-01T00:00:00.000Z"), "was not stored at"),
    (without_rungs, "0 rungs"),
    (last_of("cards", channel="mail"), "does not say: the card to developer on mail"),
    (last_of("cards", rung=7), "does not say: the card to developer on oncall for rung 7"),
    (last_of("cards", at="2020-01-01T00:00:00.000Z"), "says its entry"),
    (without_cards, "what became of 2 more cards"),
    (last_of("shown", told=["zoe"]), "told zoe"),
    (last_of("shown", rung=7), "which was not reached"),
    (last_of("answers", by="ada"), "is from 'lea'"),
    (last_of("answers", subject="developer.response.T1.ada"), "is from 'ada'"),
    (last_of("answers", vouched="signature", at="2090-01-01T00:00:00Z"), "before the deadline"),
    (last_of("receipts", outcome="too_late"), "its receipt"),
]


async def test_a_lie_about_who_was_asked_is_found(engine: Engine) -> None:
    found = await escalated(engine)
    assert refused(found) == []
    for forge, words in ABOUT_PEOPLE:
        lies = refused(forge(found))
        assert any(words in each for each in lies), (words, lies)


def log_with(change: Callable[[Any], Any]) -> Forge:
    """Change the records of the log, and let the rest of the file agree with it."""

    def forge(found: Decision) -> Decision:
        entries: list[Logged] = []
        for entry in found.entries:
            envelope = decode(entry.body.encode())
            records = [change(record) for record in envelope.records]
            body = encode(replaced(envelope, records=records)).decode()
            entries.append(replaced(entry, body=body))
        return replaced(found, entries=entries)

    return forge


def votes_of(**fields: Any) -> Callable[[Any], Any]:
    """Change the vote that decides."""

    def change(record: Any) -> Any:
        is_last = isinstance(record, Voted) and record.by == "dan"
        return replaced(record, **fields) if is_last else record

    return change


def an_hour_later(record: Any) -> Any:
    late = isinstance(record, Voted) and record.by == "dan"
    return replaced(record, at=record.at + 24 * 3600) if late else record


ABOUT_VOTES: list[tuple[Forge, str]] = [
    (log_with(votes_of(by="ada")), "of 'ada', which is not valid: ada has voted"),
    (log_with(votes_of(by="cleo", role="finance")), "of 'cleo', which is not valid: cleo is"),
    (log_with(votes_of(by="mallory")), "'mallory', which is not valid: mallory is not in"),
    (log_with(votes_of(vouched="none")), "'dan', which is not valid: the question takes"),
    (log_with(votes_of(seq=1)), "'dan', which is not valid: a later vote"),
    (log_with(an_hour_later), "'dan', which is not valid: it was stored after the deadline"),
    (log_with(votes_of(text="no")), "they do not decide it"),
    (last_of("receipts", outcome="counted"), "says that it decided"),
    (last_of("answers", body='{"answer": "no"}'), "is that vote"),
    (last_of("answers", subject="legal.response.T1"), "is that vote"),
    (last_of("answers", at="2090-01-01T00:00:00Z"), "before the deadline"),
]


async def test_a_lie_about_a_vote_is_found(engine: Engine) -> None:
    found = await voted_on(engine)
    assert refused(found) == []
    for forge, words in ABOUT_VOTES:
        lies = refused(forge(found))
        assert any(words in each for each in lies), (words, lies)


async def test_a_vote_after_the_close_is_found(engine: Engine) -> None:
    found = await voted_on(engine)
    last = decode(found.entries[-1].body.encode())
    vote = next(each for each in last.records if isinstance(each, Voted))
    more = replaced(vote, by="eve", seq=vote.seq + 1)
    body = encode(replaced(last, records=[*last.records, more])).decode()
    entries = [*found.entries[:-1], replaced(found.entries[-1], body=body)]
    lies = refused(replaced(found, entries=entries))
    assert any("'eve', which is not valid: the question is closed" in each for each in lies), lies


async def test_other_arguments_than_were_prepared_are_found(engine: Engine) -> None:
    @tool(needs_approval=Approvers("finance", quorum=1))
    async def pay(cents: int) -> str:
        """Pay."""
        return f"paid {cents}"

    model = Scripted(calls(("pay", {"cents": 4000})), says("done"))
    async with engine.works(desk(Agent("Clerk", tools=[pay], model=model), roles=[FINANCE])):
        run = await engine.start("T1")
        asked = await engine.question()
        await said(engine, "ada", "approve")
        await engine.result(run)
        found = await engine.client.decision(asked.id, run=run)
    assert refused(found) == []
    assert found.question.arguments == {"cents": 4000}
    other = replaced(found.question, arguments={"cents": 1})
    assert refused(replaced(found, question=other)) == [
        "the log's entry prepares a call with these arguments"
    ]


async def test_a_file_of_an_earlier_release_still_passes(engine: Engine) -> None:
    found = msgspec.to_builtins(await escalated(engine))
    found["ladder"] = found["cards"] = None
    del found["question"]["to"]
    for shown in found["shown"]:
        del shown["role"], shown["rung"], shown["told"]
    found["entries"] = [
        entry
        for entry in found["entries"]
        if not any(
            isinstance(r, Reached | Notified) for r in decode(entry["body"].encode()).records
        )
    ]
    early = msgspec.convert(found, Decision)
    answered = [r for e in early.entries for r in decode(e.body.encode()).records]
    assert any(isinstance(each, Answered) for each in answered)
    # An earlier release left out the answer of a role that was asked later.
    role = replaced(early.answers[0], subject="developer.response.T1.lea")
    assert refused(replaced(early, answers=[role])) == []
