"""A decision that several people make."""

from __future__ import annotations

import asyncio
import shlex
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import pytest

from layby import Agent, App, Approvers, NoQuorum, Role, Rung, Step, ToolContext, tool
from layby.actors.people.answer_resolution import AnswerResolver
from layby.actors.people.deadlines import Deadlines
from layby.actors.people.human import Human
from layby.actors.people.open_questions import OpenQuestions
from layby.actors.people.question_closing import QuestionCloser
from layby.actors.people.tickets import ParkedRecord, Tickets, decode
from layby.actors.people.votes import Votes
from layby.bus.bucket import Bucket
from layby.bus.errors import BusError
from layby.bus.mailbox import Delivery
from layby.bus.reading import every
from layby.bus.requests import PubAck, Requests
from layby.client.decision import verify
from layby.runtime.entry import Voted
from layby.runtime.errors import Interrupted, InvalidSetup
from layby.tools.ask_developer import make_ask
from layby.views.rows import QuestionRow
from tests.engine import Engine, app_of, desk, is_handled, until
from tests.scripted import Scripted, calls, results, says
from tests.signing_desk import ADA

pytestmark = pytest.mark.nats

FINANCE = Role("finance", people=["ada", "bob", "cleo"])
LEGAL = Role("legal", people=["dan", "eve", "ada"])


async def two_of_finance(event: dict[str, Any], step: Step) -> dict[str, Any]:
    """Ask finance; two must agree."""
    answer = await step.ask(
        "finance",
        "Pay it?",
        answer=bool,
        quorum=event.get("quorum", 2),
        veto=event.get("veto", False),
        exclude=event.get("exclude", []),
        timeout=event.get("timeout", 60),
    )
    votes = [[vote.by, vote.role, vote.choice, vote.vouched] for vote in answer.votes]
    return {"value": answer.value, "by": answer.by, "votes": votes}


async def one_of_each(_: dict[str, Any], step: Step) -> dict[str, Any]:
    """Ask finance and legal; one of each must agree."""
    answer = await step.ask(
        "finance", "Pay it?", answer=bool, groups={"legal": 1, "finance": 1}, timeout=60
    )
    return {"value": answer.value, "by": answer.by}


def finance(fn: Any = two_of_finance, **options: Any) -> App:
    return app_of(fn, roles=[FINANCE, LEGAL], **options)


async def vote(
    engine: Engine, by: str, text: str, *, role: str = "finance", ticket: str = "T1"
) -> PubAck:
    """Vote without waiting for a worker; the stream's acknowledgement."""
    subject = f"{role}.response.{ticket}{'.' if by else ''}{by}"
    return await engine.wire.store(subject, text.encode())


async def receipt(
    engine: Engine, ack: PubAck, *, role: str = "finance", ticket: str = "T1"
) -> dict[str, Any]:
    """The last receipt of a vote, once there is one."""

    async def look() -> dict[str, Any]:
        body = {"next_by_subj": f"{role}.receipt.{ticket}", "batch": 1_000, "seq": 1}
        page = await engine.wire.direct_get("QUESTIONS", body)
        receipts = [msgspec.json.decode(msg.data) for msg in page if not msg.status]
        found = [each for each in receipts if each["seq"] == ack.seq]
        return found[-1] if found else dict[str, Any]()

    try:
        return await until(look, 10.0)
    except TimeoutError:
        pytest.fail(f"the vote {ack.seq} got no receipt")


async def said(engine: Engine, by: str, text: str, **where: str) -> tuple[str, str]:
    """Vote; what the receipt says."""
    found = await receipt(engine, await vote(engine, by, text, **where), **where)
    return found["outcome"], found["reason"] or ""


async def listed(engine: Engine, count: int) -> QuestionRow:
    """The open question, once it shows that many votes."""

    async def look() -> QuestionRow | None:
        rows = await engine.client.questions()
        return next((row for row in rows if len(row.votes) == count), None)

    return await until(look)


async def test_two_people_decide_what_one_cannot(engine: Engine) -> None:
    async with engine.works(finance()):
        run = await engine.start("T1")
        asked = await engine.question()
        assert asked.quorum is not None
        assert asked.quorum.number == 2
        assert asked.accept == ["nats"]
        assert await said(engine, "ada", "yes") == ("counted", "1 of 2 for 'yes'")
        assert [each.by for each in (await listed(engine, 1)).votes] == ["ada"]
        assert await said(engine, "bob", "true") == ("accepted", "2 of 2 for 'yes'")
        assert await engine.result(run) == {
            "value": True,
            "by": "ada, bob",
            "votes": [["ada", "finance", "yes", "nats"], ["bob", "finance", "yes", "nats"]],
        }
        assert await engine.client.questions() == []
        late = await said(engine, "cleo", "no")
        assert late[0] == "already_answered"
        assert late[1].startswith("ada, bob answered at ")


async def test_the_votes_so_far_are_the_same_wherever_they_are_shown(engine: Engine) -> None:
    async with engine.works(finance()):
        run = await engine.start("T1")
        asked = await engine.question()
        receipts = [await said(engine, "ada", "yes"), await said(engine, "bob", "no")]
        assert [reason for _, reason in receipts] == ["1 of 2 for 'yes'", "1 of 2 for 'no'"]
        wanted = [("ada", "yes"), ("bob", "no")]

        async def in_the_list() -> bool:
            [row] = await engine.client.questions()
            return [(each.by, each.choice) for each in row.votes] == wanted

        await until(in_the_list)
        detail = await engine.client.show(run)
        assert [(each.by, each.choice) for q in detail.questions for each in q.votes] == wanted
        found = await engine.client.decision(asked.id, run=run)
        assert [(each.by, each.choice) for each in found.outcome.votes] == wanted
        state = await engine.state(run)
        assert [each.by for q in state.questions.values() for each in q.votes] == ["ada", "bob"]


async def test_two_votes_of_one_person_are_not_a_quorum(engine: Engine) -> None:
    async with engine.works(finance()):
        run = await engine.start("T1")
        await engine.question()
        first = await vote(engine, "ada", "yes")
        assert (await receipt(engine, first))["votes"] == {"choice": "yes", "given": 1, "needed": 2}
        assert (await said(engine, "ada", "yes"))[0] == "already_voted"
        assert (await said(engine, "ada", "no"))[0] == "already_voted"
        assert (await engine.state(run)).status == "waiting"
        assert await said(engine, "bob", "yes") == ("accepted", "2 of 2 for 'yes'")
        assert (await engine.result(run))["by"] == "ada, bob"


async def test_a_vote_needs_a_name_that_the_server_vouches_for(engine: Engine) -> None:
    async with engine.works(finance()):
        run = await engine.start("T1")
        await engine.question()
        outcome, reason = await said(engine, "", '{"answer": "yes", "by": "ada"}')
        assert outcome == "invalid"
        assert "finance.response.T1.YOUR_NAME" in reason
        assert (await said(engine, "mallory", "yes")) == (
            "invalid",
            "mallory is not in the role 'finance': ada, bob, cleo may vote",
        )
        assert (await engine.state(run)).questions[(await engine.question()).id].votes == []


async def test_people_who_are_excluded_have_no_vote(engine: Engine) -> None:
    async with engine.works(finance()):
        run = await engine.start("T1", exclude=["ada"])
        await engine.question()
        refused = await said(engine, "ada", "yes")
        assert refused == ("invalid", "ada is excluded from this decision")
        await said(engine, "bob", "yes")
        await said(engine, "cleo", "yes")
        assert (await engine.result(run))["by"] == "bob, cleo"


async def test_a_rejection_vetoes(engine: Engine) -> None:
    async with engine.works(finance()):
        run = await engine.start("T1", veto=True)
        await engine.question()
        await said(engine, "ada", "yes")
        assert await said(engine, "bob", "no") == ("accepted", "1 of 2 for 'no'")
        found = await engine.result(run)
        assert (found["value"], found["by"]) == (False, "bob")


async def test_a_question_closes_when_its_number_cannot_be_reached(engine: Engine) -> None:
    async with engine.works(finance()):
        run = await engine.start("T1", quorum=3)
        await engine.question()
        await said(engine, "ada", "yes")
        outcome, reason = await said(engine, "bob", "no")
        assert outcome == "counted"
        assert "can no longer agree" in reason
        state = await engine.ended(run)
        assert state.status == "failed"
        assert state.failure is not None
        assert state.failure.type == NoQuorum.__name__
        assert "ada: yes, bob: no" in state.error
        assert (await said(engine, "cleo", "yes"))[0] == "already_answered"
        kinds = [line.kind for line in await engine.lines(run)]
        assert kinds.count("question.voted") == 2
        assert "question.no_quorum" in kinds


async def test_one_of_each_group_decides(engine: Engine) -> None:
    async with engine.works(finance(one_of_each)):
        run = await engine.start("T1")
        await engine.question()
        assert await said(engine, "ada", "yes") == (
            "counted",
            "legal 0 of 1, finance 1 of 1 for 'yes'",
        )
        assert (await said(engine, "ada", "yes", role="legal"))[0] == "already_voted"
        assert (await said(engine, "bob", "yes", role="legal"))[0] == "invalid"
        assert (await said(engine, "bob", "yes"))[0] == "counted"
        accepted = await said(engine, "dan", "yes", role="legal")
        assert accepted == ("accepted", "legal 1 of 1, finance 1 of 1 for 'yes'")
        assert await engine.result(run) == {"value": True, "by": "ada, bob, dan"}
        assert await engine.client.questions() == []


async def test_the_votes_that_were_stored_first_decide_while_a_dead_worker_holds_one(
    engine: Engine,
) -> None:
    async with engine.works(finance(ack_wait=3)):
        run = await engine.start("T1")
        await engine.question()
    first = await vote(engine, "ada", "yes")
    await taken_by_dead_worker(engine)
    votes = [await vote(engine, "bob", "yes"), await vote(engine, "cleo", "yes")]
    async with engine.works(finance(ack_wait=3)):
        outcomes = [(await receipt(engine, each))["outcome"] for each in (first, *votes)]
        assert outcomes == ["counted", "accepted", "already_answered"]
        assert (await engine.result(run))["by"] == "ada, bob"


async def taken_by_dead_worker(engine: Engine) -> None:
    """Take the next vote like a worker that dies before it handles it."""
    body = msgspec.json.encode({"batch": 1, "expires": 30_000_000_000})
    subject = "$JS.API.CONSUMER.MSG.NEXT.ANSWERS.answers-finance"
    nc = engine.connection.nc
    hand = await nc.subscribe(nc.new_inbox())
    await nc.publish(subject, body, hand.subject)
    assert (await hand.next_msg(30)).subject.startswith("finance.response.")


async def test_a_vote_that_could_not_be_recorded_is_handled_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, failed = QuestionCloser.append_votes, list[str]()

    async def once_down(self: QuestionCloser, live: Any, question: str, votes: Any) -> Any:
        if not failed:
            failed.append(question)
            raise BusError("the server is down")
        return await append(self, live, question, votes)

    monkeypatch.setattr(QuestionCloser, "append_votes", once_down)
    async with engine.works(finance()):
        run = await engine.start("T1", quorum=1)
        await engine.question()
        ack = await vote(engine, "ada", "yes")
        assert (await receipt(engine, ack))["outcome"] == "accepted"
        assert (await engine.result(run))["by"] == "ada"
    assert failed


async def test_too_few_votes_in_time_are_not_a_yes(engine: Engine) -> None:
    async with engine.works(finance()):
        run = await engine.start("T1", timeout=3.0)
        await engine.question()
        await said(engine, "ada", "yes")
        state = await engine.ended(run)
        assert state.status == "timed_out"
        assert "too few people had voted" in state.error
        assert "ada: yes" in state.error
        assert (await said(engine, "bob", "yes"))[0] == "too_late"


async def test_votes_in_time_count_although_another_handler_records_one_of_them_at_the_deadline(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    contest, overtaken = AnswerResolver.contest, list[str]()

    async def judged(self: AnswerResolver, *which: Any) -> Any:
        found = await contest(self, *which)
        for question, votes in found.votes.items() if not overtaken else ():
            overtaken.append(question)
            closer, run = self._closer, found.record.questions[0].run
            live = await closer.live(run, found.record)
            await closer.append_votes(live, question, votes[:1])
        return found

    monkeypatch.setattr(AnswerResolver, "contest", judged)
    async with engine.works(finance()):
        run = await engine.start("T1", timeout=3.0)
        await engine.question()
        await hold_answers(engine.wire, "2100-01-01T00:00:00Z")
        for by in ("ada", "bob"):
            await vote(engine, by, "yes")
        assert (await engine.result(run))["by"] == "ada, bob"
    assert overtaken


@pytest.mark.parametrize(
    ("people", "outcome"),
    [
        (["ada"], "counted"),
        (["ada", "bob", "cleo"], "already_answered"),
        (["ada", "bob", "mallory"], "already_answered"),
    ],
)
async def test_a_votes_receipt_is_true_even_if_others_record_votes_while_it_is_judged(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, people: list[str], outcome: str
) -> None:
    polls, sent = Votes.polls, list[Voted]()

    async def meanwhile(self: Votes, record: Any, roles: Any) -> Any:
        if len(sent) == len(people):
            [question] = record.questions
            live = await self._closer.live(question.run, record)
            votes = [msgspec.structs.replace(each, id=question.id) for each in sent]
            await self._closer.append_votes(live, question.id, votes[:2])
            sent.clear()
        return await polls(self, record, roles)

    monkeypatch.setattr(Votes, "polls", meanwhile)
    async with engine.works(finance(ack_wait=3)):
        await engine.start("T1")
        await engine.question()
    acks = [await vote(engine, by, "yes") for by in people]
    for by, ack in zip(people, acks, strict=True):
        stored = await engine.wire.stored("ANSWERS", seq=ack.seq)
        assert stored is not None
        about = {"role": "finance", "text": "yes", "by": by, "vouched": "nats"}
        sent.append(Voted(id="", at=stored.at, seq=ack.seq, **about))
    for _ in people[1:]:
        await taken_by_dead_worker(engine)
    async with engine.works(finance(ack_wait=3)):
        assert (await receipt(engine, acks[-1]))["outcome"] == outcome
    assert not sent


async def test_a_question_that_another_worker_has_listed_for_a_vote_leaves_the_list_when_it_closes(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def of_another(self: OpenQuestions, live: Any, question: Any) -> None:
        await self.show_again(live, question, question.role)
        self._unlisted[question.id] = self._loop.time() + 5  # this one has still to list it

    monkeypatch.setattr(OpenQuestions, "update", of_another)
    async with engine.works(finance()):
        run = await engine.start("T1")
        await until(lambda: Bucket(engine.wire, "parked").get("T1"))
        for by, outcome in (("ada", "counted"), ("bob", "accepted")):
            assert (await said(engine, by, "yes"))[0] == outcome
        assert (await engine.result(run))["by"] == "ada, bob"
    rows = [item.key async for item in Bucket(engine.wire, "questions").items() if "." in item.key]
    assert rows == []


async def test_an_answer_after_the_decision_and_the_deadline_is_told_who_decided_each_time(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: Any) -> None:
        """Leave the deadline to those who come after it."""

    monkeypatch.setattr(Deadlines, "due", never)
    async with engine.works(finance(ack_wait=3)):
        await engine.start("T1", timeout=3.0)
        asked = await engine.question()
    votes = [await vote(engine, by, "yes") for by in ("ada", "bob")]
    for _ in votes:
        await taken_by_dead_worker(engine)
    await until(lambda: passed(asked.deadline))
    late = await vote(engine, "cleo", "yes")
    async with engine.works(finance(ack_wait=3)):
        assert (await receipt(engine, late))["outcome"] == "already_answered"
        assert (await receipt(engine, votes[1]))["outcome"] == "accepted"


async def passed(deadline: str) -> bool:
    """Whether a deadline is over."""
    return datetime.now(UTC) > datetime.fromisoformat(deadline)


async def hold_answers(wire: Requests, until: str) -> None:
    """Give no worker the answers to finance until then."""
    await wire.api("CONSUMER.PAUSE.ANSWERS.answers-finance", {"pause_until": until})


async def test_a_default_stands_in_for_a_decision(engine: Engine) -> None:
    async def handle(_: dict[str, Any], step: Step) -> Any:
        options: dict[str, Any] = {"quorum": 3, "timeout": 60}
        answer = await step.ask("finance", "Pay?", answer=bool, default="undecided", **options)
        return [answer.value, [vote.by for vote in answer.votes]]

    async with engine.works(finance(handle)):
        run = await engine.start("T1")
        await engine.question()
        await said(engine, "ada", "yes")
        await said(engine, "bob", "no")
        assert await engine.result(run) == ["undecided", ["ada", "bob"]]


async def test_a_run_that_failed_without_agreement_asks_again(engine: Engine) -> None:
    async with engine.works(finance()):
        run = await engine.start("T1", quorum=3)
        first = await engine.question()
        await said(engine, "ada", "yes")
        await said(engine, "bob", "no")
        await engine.ended(run)
        await engine.client.retry(run, by="cleo")
        again = await engine.question()
        assert again.id != first.id
        assert again.votes == []
        body = f'{{"answer": "yes", "questionId": "{again.id}"}}'
        outcomes = [(await said(engine, by, body))[0] for by in ("ada", "bob", "cleo")]
        assert outcomes == ["counted", "counted", "accepted"]
        assert (await engine.result(run))["by"] == "ada, bob, cleo"


async def test_an_unnamed_answer_is_for_neither_of_two_open_questions(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> Any:
        if event.get("alone"):
            return (await step.ask("finance", "Alone?", answer=bool)).value
        return (await step.ask("finance", "Together?", answer=bool, quorum=2)).value

    async with engine.works(finance(handle)):
        together = await engine.start("T1")
        await engine.question()
        alone = await engine.start("T1", alone=True)
        asked = {row.question: row for row in await engine.questions(2)}
        assert (await said(engine, "ada", "yes"))[0] == "ambiguous"
        named = f'{{"answer": "yes", "questionId": "{asked["Together?"].id}"}}'
        assert (await said(engine, "ada", named))[0] == "counted"
        assert (await said(engine, "bob", named))[0] == "accepted"
        assert await engine.result(together) is True
        assert (await said(engine, "bob", "no"))[0] == "accepted", "one question is left"
        assert await engine.result(alone) is False


class Bank:
    """A tool that several people must approve, and what was really paid."""

    def __init__(self, needs: Any) -> None:
        self.paid: list[int] = []

        @tool(needs_approval=needs)
        async def refund(order: str, amount: int = 10) -> str:
            """Give a customer money back."""
            self.paid.append(amount)
            return f"paid {amount} for {order}"

        self.model = Scripted(calls(("refund", {"order": "A1"})), says("Done."))
        self.agent = Agent("Clerk", tools=[refund], model=self.model)

    @property
    def app(self) -> App:
        return desk(self.agent, roles=["developer", FINANCE, LEGAL])

    @property
    def told(self) -> str:
        return results(self.model.requests[-1])[0].content


async def test_a_call_runs_once_two_people_have_approved_it(engine: Engine) -> None:
    bank = Bank(Approvers("finance", quorum=2))
    async with engine.works(bank.app):
        run = await engine.start()
        asked = await engine.question()
        assert (await said(engine, "ada", f"approve {asked.digest}"))[0] == "counted"
        assert not bank.paid
        assert (await said(engine, "bob", "yes"))[0] == "accepted"
        await engine.result(run)
    assert (bank.paid, bank.told) == ([10], "paid 10 for A1")


async def test_edits_count_together_if_they_change_a_call_to_the_same(engine: Engine) -> None:
    bank = Bank(Approvers("finance", quorum=2))
    async with engine.works(bank.app):
        run = await engine.start()
        await engine.question()
        first = await said(engine, "ada", '{"answer": {"edit": {"order": "A1", "amount": 5}}}')
        assert first[0] == "counted"
        assert (await said(engine, "bob", "approve"))[0] == "counted"
        assert (await said(engine, "cleo", '{"answer": {"edit": {"amount": 5, "order": "A1"}}}'))[
            0
        ] == "accepted"
        await engine.result(run)
    assert bank.paid == [5]


@pytest.mark.parametrize("votes", [["reject: too much"], ["approve", "reject"]])
async def test_a_call_that_people_do_not_agree_on_does_not_run(
    engine: Engine, votes: list[str]
) -> None:
    def needs(ctx: ToolContext, arguments: dict[str, Any]) -> Approvers:
        del ctx, arguments
        veto = len(votes) == 1
        return Approvers("finance", quorum=2, veto=veto, exclude=[] if veto else ["cleo"])

    bank = Bank(needs)
    async with engine.works(bank.app):
        run = await engine.start()
        await engine.question()
        for by, text in zip(("ada", "bob"), votes, strict=False):
            await said(engine, by, text)
        await engine.result(run)
    assert not bank.paid
    why = "ada rejected it: too much" if len(votes) == 1 else "do not agree"
    assert bank.told.startswith("refund was not run: ")
    assert why in bank.told


async def test_the_lines_of_each_group_answer_for_it(engine: Engine) -> None:
    sub = await engine.connection.nc.subscribe("*.question.T1")
    async with engine.works(finance(one_of_each)):
        run = await engine.start("T1")
        shown = [msgspec.json.decode((await sub.next_msg(30)).data) for _ in range(2)]
        assert {each["role"] for each in shown} == {"finance", "legal"}
        assert len({each["id"] for each in shown}) == 1
        for each, by in zip(shown, ("dan", "bob"), strict=True):
            assert each["accept"] == ["nats"]
            assert each["quorum"]["groups"] == {"finance": 1, "legal": 1}
            subject = f"{each['role']}.response.T1.YOUR_NAME"
            assert each["answer"]["subject"] == subject
            words = shlex.split(each["answer_with"][0])
            assert words[:5] == ["nats", "pub", "-J", "--no-templates", subject]
            await engine.wire.store(subject.replace("YOUR_NAME", by), words[5].encode())
        assert (await engine.result(run))["by"] in {"dan, bob", "bob, dan"}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "can only decide between choices"),
        ({"answer": bool, "quorum": 4}, "can never be reached by these people: finance: ada, bob"),
        ({"answer": bool, "exclude": ["ada", "bob"]}, "can never be reached"),
        ({"answer": bool, "groups": {"finance": 1, "tax": 1}}, "the app has no role 'tax'"),
        ({"answer": bool, "groups": {"legal": 1}}, "is not one of groups"),
        ({"answer": bool, "quorum": 6, "groups": {"finance": 3, "legal": 3}}, "can never be"),
        ({"answer": bool, "quorum": 0}, "give a whole number of people"),
        ({"answer": bool, "groups": {"finance": 2}, "quorum": 1}, "need 2 votes together"),
        ({"answer": bool, "exclude": "ada"}, "give a list of names"),
        ({"answer": bool, "exclude": ["Ada L."]}, "would exclude nobody"),
        ({"answer": bool, "exclude": [""]}, "would exclude nobody"),
        ({"answer": Literal["a", "b"], "veto": True}, "no choice of this question is a rejection"),
        ({"answer": bool, "accept": "none"}, "leave `accept` out"),
        ({"answer": bool, "escalate": [Rung("1h", to="role:legal")]}, "which has no vote"),
    ],
)
async def test_a_quorum_that_nobody_can_reach_is_refused_at_once(
    engine: Engine, options: dict[str, Any], why: str
) -> None:
    async def handle(_: dict[str, Any], step: Step) -> str:
        try:
            given: dict[str, Any] = {"quorum": 2, **options}
            await step.ask("finance", "Pay?", **given)
        except InvalidSetup as error:
            return str(error)
        return ""

    async with engine.works(finance(handle)):
        assert why in await engine.result(await engine.start("T1"))


def test_a_declared_quorum_that_nobody_can_reach_is_refused_where_it_is_declared() -> None:
    with pytest.raises(InvalidSetup, match="can only decide between choices"):
        make_ask("finance", quorum=2)
    with pytest.raises(InvalidSetup, match="is not one of the groups"):
        Approvers("tax", groups={"legal": 1})
    with pytest.raises(InvalidSetup, match="names somebody twice"):
        Role("finance", people=["ada", "ada"])
    with pytest.raises(InvalidSetup, match="give a list of names"):
        Role("finance", people="ada")
    with pytest.raises(InvalidSetup, match="cannot be a name in subjects"):
        Role("finance", people=["a.b"])
    with pytest.raises(InvalidSetup, match="the people with `keys` differ"):
        Role("finance", keys={"ada": ADA.public}, people=["ada", "bob"])


@pytest.mark.parametrize(
    "approvers", [Approvers("tax", quorum=1), Approvers(groups={"finance": 1, "tax": 1})]
)
def test_an_app_without_a_role_that_approves_calls_is_refused(approvers: Approvers) -> None:
    @tool(needs_approval=approvers)
    async def pay(cents: int) -> str:
        """Pay."""
        return str(cents)

    with pytest.raises(InvalidSetup, match=r"'pay' needs the approval of 'tax', .* no such role"):
        desk(Agent("Clerk", tools=[pay], model=Scripted()), roles=[FINANCE])


async def test_votes_of_a_group_that_the_record_lacks_count(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reminder made the record: who published the question had died before it did."""
    late, take = asyncio.Event(), Human.answer
    async with engine.works(finance(one_of_each)):
        run = await engine.start("T1")
        await engine.question(run=run)
        await until(lambda: _shown(engine))

    def unknown(record: ParkedRecord) -> ParkedRecord:
        [question] = record.questions
        return msgspec.structs.replace(
            record, questions=(msgspec.structs.replace(question, also={}),)
        )

    tickets = Tickets(Bucket(engine.wire, "parked"), 60)
    await tickets.change("T1", unknown, await tickets.get_newest("T1"))

    async def held(human: Human, delivery: Delivery) -> None:
        if human.role == "legal" and not late.is_set():
            raise Interrupted("its mail comes late")
        await take(human, delivery)

    monkeypatch.setattr(Human, "answer", held)
    first, again = await vote(engine, "ada", "yes"), await vote(engine, "ada", "yes")
    decides = await vote(engine, "dan", "yes", role="legal")
    after, once_more = await vote(engine, "bob", "yes"), await vote(engine, "ada", "yes")
    async with engine.works(finance(one_of_each)):
        assert (await receipt(engine, first))["outcome"] == "counted"
        assert (await receipt(engine, again))["outcome"] == "already_voted"
        assert (await receipt(engine, after))["outcome"] == "already_answered"
        assert (await receipt(engine, once_more))["outcome"] == "already_answered"
        late.set()
        assert (await receipt(engine, decides, role="legal"))["outcome"] == "accepted"
        assert await engine.result(run) == {"value": True, "by": "ada, dan"}


async def _shown(engine: Engine) -> bool:
    """Whether the question is recorded, and its mail handled."""
    return await is_handled(engine.wire, "RUNS.human-finance")


async def test_all_groups_are_reminded_and_nobody_else_is_asked_to_vote(engine: Engine) -> None:
    """The role's own escalation to another role is left out: that role has no vote."""
    pressed = Role(
        "finance",
        people=["ada", "bob"],
        remind=["200ms"],
        escalate=[Rung("300ms", to="role:lead"), Rung("400ms", to="person:cto")],
    )

    async def for_ada(_: dict[str, Any], step: Step) -> dict[str, Any]:
        groups = {"legal": 1, "finance": 1}
        answer = await step.ask(
            "finance", "Pay it?", answer=bool, groups=groups, to="person:ada", timeout=60
        )
        return {"by": answer.by}

    async def published(role: str) -> list[tuple[str | None, str | None]]:
        found = every(engine.wire, "QUESTIONS", f"{role}.question.T1")
        headers = [each.headers async for each in found]
        return [(each.get("Layby-Reminder"), each.get("Layby-Told")) for each in headers]

    async with engine.works(app_of(for_ada, roles=[pressed, LEGAL, "lead"])):
        run = await engine.start("T1")
        await engine.told(run, "question.escalated")

        async def reminded() -> bool:
            return [await published(role) for role in ("finance", "legal")] == [
                [(None, None), ("1", "ada"), (None, "cto")],
                [(None, None), ("1", None), (None, "cto")],
            ]

        await until(reminded)
        assert await published("lead") == []
        [row] = await engine.client.questions()
        assert [rung.to for rung in row.ladder] == ["", "person:cto"]
        assert (await said(engine, "dan", "yes", role="legal"))[0] == "counted"
        assert (await said(engine, "bob", "yes"))[0] == "accepted"
        assert (await engine.result(run))["by"] == "dan, bob"
        assert await engine.client.questions() == []
        found = await engine.client.decision(row.id, run=run)
        assert [check.what for check in verify(found) if not check.ok] == []


async def test_a_vote_on_what_no_log_asks_gets_its_receipt(engine: Engine) -> None:
    """Somebody has written the record, or the run was removed."""
    async with engine.works(finance()):
        await engine.start("T1", quorum=1)
        await engine.question()
        ack = await vote(engine, "ada", "yes")
        assert (await receipt(engine, ack))["outcome"] == "accepted"
        item = await Bucket(engine.wire, "parked").get_newest("T1")
        assert item is not None
        record = item.read(decode)
        assert record is not None
        [known] = record.questions
        made_up = msgspec.structs.replace(
            known, id="qaaaaaaaaaaaaa", run="f" * 20, status="open", votes=[], seq=0
        )
        record = msgspec.structs.replace(record, questions=(made_up,), runs={})
        await Bucket(engine.wire, "parked").put("T1", msgspec.json.encode(record))
    async with engine.works(finance()):
        outcome, reason = await said(engine, "bob", "yes")
        assert outcome == "invalid"
        assert "has another question" in reason
