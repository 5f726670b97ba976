"""What people say in Slack: buttons, forms and replies, each of which ends in a receipt."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import structlog

from layby.actors.people.channels.slack_button import Pressed, value_of
from layby.bus.errors import BusError
from layby.channels import Card, Outcome, Undeliverable, slack
from layby.runtime.forms import schema_of
from tests.fix_slack import ONCALL, FakeSlack, Posted
from tests.slack_cards import approval, card
from tests.slack_desk import SmallDesk
from tests.slack_rules import Block
from tests.unit.test_slack_form import Refund

PEOPLE = {"U0ADA": "ada", "U0BOB": "bob", "T0OTHER/U0CLEO": "cleo"}


class Room:
    """A channel in which people answer."""

    def __init__(self, fake: FakeSlack) -> None:
        self.fake = fake
        self.desk = SmallDesk()
        self.channel = slack("#oncall", people=PEOPLE, base_url=fake.url)

    async def ask(self, asked: Card) -> Posted:
        """Send a card."""
        ref = await self.channel.send(self.desk.add(asked))
        [found] = [each for each in self.fake.messages if f"{ONCALL}/{each.ts}" == ref]
        return found

    async def told(self, user: str, words: str) -> None:
        """Wait until somebody was told something."""
        await until(lambda: any(words in each for each in self.fake.told(user)), words)

    async def view(self) -> Block:
        """The form that was opened."""
        await until(lambda: bool(self.fake.views), "a form")
        return self.fake.views[-1]

    @property
    def answers(self) -> list[tuple[str, Any]]:
        """Who said what."""
        return [(each.person, each.answer) for each in self.desk.said]


async def until(holds: Callable[[], bool], what: str = "it") -> None:
    """Wait for something, for a while."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < 10, f"not in time: {what}"
        await asyncio.sleep(0.005)


@asynccontextmanager
async def listening(*rooms: Room) -> AsyncGenerator[None]:
    """Take what people say."""
    tasks = [asyncio.create_task(room.channel.listen(room.desk)) for room in rooms]
    try:
        await until(lambda: bool(rooms[0].fake.sockets), "a connection")
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def room(fake_slack: FakeSlack) -> AsyncIterator[Room]:
    room = Room(fake_slack)
    async with listening(room):
        yield room
    await until(lambda: not fake_slack.sockets, "the end of the connection")


def asked(**fields: Any) -> Card:
    return card(asked_at=time.time(), deadline=time.time() + 3_600, **fields)


async def test_only_the_packages_of_slack_are_silent(room: Room) -> None:
    posted = await room.ask(asked(form={"type": "boolean"}, choices=("yes", "no")))
    await room.fake.press("U0ADA", posted, "no")
    await room.told("U0ADA", "Your answer counts.")
    assert logging.getLogger("layby").isEnabledFor(logging.WARNING)
    assert logging.getLogger("layby.console").isEnabledFor(logging.WARNING)


async def test_a_choice_is_answered_with_a_button(room: Room) -> None:
    posted = await room.ask(asked(form={"type": "boolean"}, choices=("yes", "no")))
    await room.fake.press("U0ADA", posted, "no")
    await room.told("U0ADA", "Your answer counts.")
    assert room.answers == [("ada", "no")]
    assert room.desk.via == {"slack"}
    [said] = room.desk.said
    assert (said.ticket, said.question, said.role) == ("T125", "q1", "developer")


async def test_a_call_is_approved_by_its_digest_and_rejected(room: Room) -> None:
    posted = await room.ask(approval(asked_at=time.time()))
    await room.fake.press("U0ADA", posted, "Approve")
    await room.told("U0ADA", "Your answer counts.")
    await room.fake.press("U0BOB", posted, "Reject")
    await room.told("U0BOB", "ada was faster")
    assert room.answers == [("ada", "approve a4c40b38ddc2"), ("bob", "reject")]


async def test_a_rejection_may_have_a_reason(room: Room) -> None:
    posted = await room.ask(approval(asked_at=time.time()))
    await room.fake.press("U0ADA", posted, "Reject with a reason…")
    await until(lambda: bool(room.fake.views), "a form")
    assert await room.fake.submit("U0ADA", room.fake.views[-1], {"Reason": "too much"}) == {}
    await room.told("U0ADA", "Your answer counts.")
    assert room.answers == [("ada", {"reject": "too much"})]


async def test_a_form_is_filled_in_and_what_is_wrong_is_said_in_it(room: Room) -> None:
    posted = await room.ask(asked(form=schema_of(Refund)))
    await room.fake.press("U0ADA", posted, "Answer…")
    await until(lambda: bool(room.fake.views), "a form")
    view = room.fake.views[-1]
    entries = {"Order": "A", "Cents": "900", "Urgent": "yes", "Reason": "broken"}
    wrong = await room.fake.submit("U0ADA", view, entries)
    assert wrong["response_action"] == "errors"
    assert "too short" in wrong["errors"]["field:0"]
    assert room.answers == []
    assert await room.fake.submit("U0ADA", view, {**entries, "Order": "A1"}) == {}
    await room.told("U0ADA", "Your answer counts.")
    right = {"order": "A1", "cents": 900, "urgent": True, "reason": "broken"}
    assert room.answers == [("ada", right)]


async def test_any_text_is_answered_with_a_form_or_a_reply(room: Room) -> None:
    posted = await room.ask(asked())
    await room.fake.press("U0ADA", posted, "Answer…")
    await until(lambda: bool(room.fake.views), "a form")
    await room.fake.submit("U0ADA", room.fake.views[-1], {"Answer": "yes & no"})
    await room.told("U0ADA", "Your answer counts.")
    second = await room.ask(asked(question="q2", key="k2"))
    await room.fake.reply("U0BOB", second, "see <https://a.example|this> &amp; that")
    await room.told("U0BOB", "Your answer counts.")
    assert room.answers == [("ada", "yes & no"), ("bob", "see https://a.example & that")]
    assert room.fake.whispers[-1]["thread_ts"] == second.ts


async def test_talk_in_a_thread_is_not_an_answer(room: Room) -> None:
    choice = await room.ask(asked(form={"type": "boolean"}, choices=("yes", "no")))
    text = await room.ask(asked(question="q2", key="k2"))
    other = room.fake.write("<@U0ADA> lunch?")
    await room.fake.reply("U0ADA", choice, "yes")
    await room.fake.reply("U0ADA", other, "yes")
    for more in (
        {"bot_id": "B0LAYBY"},
        {"subtype": "message_changed"},
        {"thread_ts": ""},
    ):
        await room.fake.reply("U0ADA", text, "yes", **more)
    await room.fake.reply("U0ADA", text, "  ")
    await room.fake.reply("U0BOB", text, "the answer")
    await room.told("U0BOB", "Your answer counts.")
    assert room.answers == [("bob", "the answer")]
    assert room.fake.told("U0ADA") == []


async def test_a_thread_of_another_app_is_not_a_question(room: Room) -> None:
    ours = await room.ask(asked())
    theirs = room.fake.write("x", metadata=ours.metadata, bot_id="B0OTHER", user="U0OTHER")
    await room.fake.reply("U0ADA", theirs, "yes", parent_user_id="U0LAYBY")
    await room.fake.reply("U0ADA", ours, "right")
    await room.told("U0ADA", "Your answer counts.")
    assert room.answers == [("ada", "right")]


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome(outcome="counted", reason="1 of 2 for 'yes'"), "Your vote counts: 1 of 2"),
        (Outcome(outcome="already_voted"), "You have voted already"),
        (
            Outcome(outcome="already_answered", by="bob", reason="at noon"),
            "bob was faster. at noon",
        ),
        (Outcome(outcome="already_answered", by="ada"), "You have answered already"),
        (Outcome(outcome="too_late", reason="the deadline passed"), "Too late: the deadline"),
        (Outcome(outcome="invalid", reason="<b> & co"), "does not count: &lt;b&gt; &amp; co"),
        (Outcome(outcome="stored"), "no worker has handled it yet"),
        (Outcome(outcome="some_new_word"), "does not count: some_new_word"),
    ],
)
async def test_people_are_told_the_outcome(room: Room, outcome: Outcome, words: str) -> None:
    room.desk.outcomes.append(outcome)
    posted = await room.ask(asked(choices=("a", "b")))
    await room.fake.press("U0ADA", posted, "b")
    await room.told("U0ADA", words)


async def test_a_click_that_is_delivered_twice_is_one_answer(room: Room) -> None:
    posted = await room.ask(asked(choices=("a", "b")))
    await room.fake.press("U0ADA", posted, "b", copies=2)
    await room.told("U0ADA", "Your answer counts.")
    await room.told("U0ADA", "You have answered already: your first answer counts.")


async def test_an_unmapped_user_learns_how_to_be_mapped_and_answers_nothing(room: Room) -> None:
    posted = await room.ask(asked(choices=("a", "b")))
    await room.fake.press("U0EVE", posted, "b")
    await room.told("U0EVE", 'people={"U0EVE": "your name"}')
    text = await room.ask(asked(question="q2", key="k2"))
    await room.fake.reply("U0EVE", text, "hello")
    await until(lambda: len(room.fake.told("U0EVE")) == 2, "a refusal")
    assert room.answers == []


async def test_users_of_two_workspaces_with_one_id_are_two_people(room: Room) -> None:
    posted = await room.ask(asked(choices=("a", "b")))
    await room.fake.press("U0ADA", posted, "b", team="T0OTHER")
    await room.told("U0ADA", "T0OTHER/U0ADA")
    await room.fake.reply("U0ADA", await room.ask(asked(question="q2", key="k2")), "x", team="T9")
    await room.told("U0ADA", "T9/U0ADA")
    assert room.answers == []
    await room.fake.press("U0CLEO", posted, "b", team="T0OTHER")
    await room.told("U0CLEO", "Your answer counts.")
    assert room.answers == [("cleo", "b")]


FORGED = [
    Pressed("choose", "T125", "q1", "developer", 7),
    Pressed("choose", "T125", "q1", "developer", -1),
    Pressed("approve", "T125", "q1", "developer", digest="000000000000"),
    Pressed("approve", "T125", "q1", "developer", digest=""),
    Pressed("reject", "T125", "q1", "developer"),
]


@pytest.mark.parametrize("pressed", FORGED)
async def test_a_button_that_the_question_does_not_have_is_refused(
    room: Room, pressed: Pressed
) -> None:
    posted = await room.ask(asked(choices=("a", "b")))
    await room.fake.act("U0ADA", posted, "layby:choose:7", value_of(pressed))
    await room.told("U0ADA", "does not belong to this question")
    assert room.answers == []


async def test_an_approval_of_another_call_is_refused(room: Room) -> None:
    posted = await room.ask(approval(asked_at=time.time()))
    pressed = Pressed("approve", "T125", "q1", "finance", digest="000000000000")
    await room.fake.act("U0ADA", posted, "layby:approve", value_of(pressed))
    await room.told("U0ADA", "does not belong to this question")
    assert room.answers == []


@pytest.mark.parametrize(
    "pressed",
    [
        Pressed("choose", "T126", "q1", "developer", 0),
        Pressed("choose", "T125", "q9", "developer", 0),
        Pressed("choose", "T125", "q1", "lead", 0),
    ],
)
async def test_a_question_that_does_not_exist_is_refused(room: Room, pressed: Pressed) -> None:
    posted = await room.ask(asked(choices=("a", "b")))
    await room.fake.act("U0ADA", posted, "layby:choose:0", value_of(pressed))
    await room.told("U0ADA", "no such question any more")
    assert room.answers == []


@pytest.mark.parametrize("value", ["", "x", "&&&", "A" * 1_999])
async def test_a_value_that_means_nothing_is_refused(room: Room, value: str) -> None:
    posted = await room.ask(asked(choices=("a", "b")))
    await room.fake.act("U0ADA", posted, "layby:choose:0", value)
    await room.told("U0ADA", "does not belong to this question")
    assert room.answers == []


async def test_nobody_answers_in_slack_what_slack_cannot_vouch_for(room: Room) -> None:
    posted = await room.ask(asked(accept=("signature",)))
    assert posted.labels == ["I'm on it", "Not mine", "Pass on…", "Ask back…"]
    for act in ("open", "choose"):
        value = value_of(Pressed(act, "T125", "q1", "developer", 0))
        await room.fake.act("U0ADA", posted, f"layby:{act}", value)
    await until(lambda: len(room.fake.told("U0ADA")) == 2, "two refusals")
    assert all("given in Slack does not count" in each for each in room.fake.told("U0ADA"))
    await room.fake.reply("U0ADA", posted, "an answer")
    room.desk.outcomes += [
        Outcome(outcome="recorded", by="ada"),
        Outcome(outcome="already_claimed", by="ada", reason="ada is on it until 12:00"),
        Outcome(outcome="recorded", by="bob"),
    ]
    await room.fake.press("U0ADA", posted, "I'm on it")
    await room.told("U0ADA", "You are on it")
    await room.fake.press("U0BOB", posted, "I'm on it")
    await room.told("U0BOB", "Somebody else is on it: ada is on it until 12:00.")
    await room.fake.press("U0BOB", posted, "Not mine")
    await room.told("U0BOB", "it is not yours")
    assert [each.says for each in room.desk.said] == ["claim", "claim", "decline"]


async def test_somebody_passes_a_question_on(room: Room) -> None:
    posted = await room.ask(asked(accept=("signature",)))
    await room.fake.press("U0ADA", posted, "Pass on…")
    view = await room.view()
    assert view["title"]["text"] == "Pass on"
    person = "Somebody who can answer for the role"
    for entries in ({}, {person: "bob", "Or a role": "lead"}):
        ack = await room.fake.submit("U0ADA", view, entries)
        assert "a person, or write a role" in str(ack["errors"])
    room.desk.outcomes += [Outcome(outcome="recorded", reason="person:bob is asked too")] * 2
    await room.fake.submit("U0ADA", view, {person: "bob"})
    await room.told("U0ADA", "Passed on. (person:bob is asked too)")
    await room.fake.submit("U0ADA", view, {"Or a role": " role:lead "})
    await until(lambda: len(room.desk.said) == 2, "a second pass")
    assert [(each.says, each.person, each.text) for each in room.desk.said] == [
        ("pass", "ada", "person:bob"),
        ("pass", "ada", "role:lead"),
    ]


async def test_somebody_asks_back(room: Room) -> None:
    posted = await room.ask(asked())
    await room.fake.press("U0ADA", posted, "Ask back…")
    view = await room.view()
    ack = await room.fake.submit("U0ADA", view, {"What do you want to know?": "  "})
    assert "Fill this in" in str(ack["errors"])
    room.desk.outcomes.append(Outcome(outcome="recorded", by="ada"))
    await room.fake.submit("U0ADA", view, {"What do you want to know?": "Why <900> EUR?"})
    await room.told("U0ADA", "It is asked")
    [said] = room.desk.said
    assert (said.says, said.text, said.answer) == ("ask-back", "Why <900> EUR?", None)


@pytest.mark.parametrize("label", ["Pass on…", "Ask back…"])
async def test_a_stranger_neither_passes_it_on_nor_asks_back(room: Room, label: str) -> None:
    posted = await room.ask(asked())
    await room.fake.press("U0ADA", posted, label)
    view = await room.view()
    await room.fake.submit("U0EVE", view, {"Or a role": "lead", "What do you want to know?": "x"})
    await room.told("U0EVE", "I do not know who you are")
    assert room.desk.said == []


async def test_an_old_card_still_ends_in_a_receipt(room: Room) -> None:
    posted = await room.ask(asked())
    value = posted.button("Answer…")["value"]
    room.desk.add(asked(status="answered", by="bob", outcome="bob answered: <x>"))
    await room.fake.act("U0ADA", posted, "layby:open", value)
    await room.told("U0ADA", "bob was faster. The question is closed: bob answered: &lt;x&gt;")
    await room.fake.reply("U0ADA", posted, "an answer")
    await until(lambda: len(room.fake.told("U0ADA")) == 2, "a refusal")
    assert room.fake.views == []
    assert room.answers == []


async def test_an_answer_that_may_not_be_stored_is_reported(room: Room) -> None:
    posted = await room.ask(asked(choices=("a", "b")))
    room.desk.fails.append(BusError("the server is away"))
    await room.fake.press("U0ADA", posted, "a")
    await room.told("U0ADA", "may not have been stored")
    await room.fake.press("U0ADA", posted, "a")
    await room.told("U0ADA", "Your answer counts.")


async def test_an_unreadable_question_and_a_form_that_does_not_open_are_reported(
    room: Room,
) -> None:
    posted = await room.ask(asked())
    room.fake.fail("views.open", error="expired_trigger_id")
    await room.fake.press("U0ADA", posted, "Answer…")
    await room.told("U0ADA", "Nothing was recorded: try again")
    assert room.desk.opened == [], "there was no form to look at"
    room.desk.unreadable = BusError("the server is away")
    await room.fake.press("U0BOB", posted, "Answer…")
    await room.told("U0BOB", "Nothing was recorded: try again")


async def test_a_form_stays_open_while_its_question_cannot_be_read(room: Room) -> None:
    posted = await room.ask(asked())
    await room.fake.press("U0ADA", posted, "Answer…")
    await until(lambda: bool(room.fake.views), "a form")
    await until(lambda: bool(room.desk.opened), "who has opened it")
    assert [(each.person, each.question) for each in room.desk.opened] == [("ada", "q1")]
    room.desk.hold = asyncio.Event()
    wrong = await room.fake.submit("U0ADA", room.fake.views[-1], {"Answer": "x"})
    assert "cannot be read right now" in wrong["errors"]["field:0"]
    room.desk.hold.set()
    await room.fake.submit("U0ADA", room.fake.views[-1], {"Answer": "x"})
    await room.told("U0ADA", "Your answer counts.")


async def test_one_question_that_hangs_stops_nobody_else(room: Room) -> None:
    slow = await room.ask(asked(choices=("a", "b")))
    room.desk.hold = asyncio.Event()
    await room.fake.press("U0ADA", slow, "a")
    held, room.desk.hold = room.desk.hold, None
    quick = await room.ask(asked(question="q2", key="k2", choices=("a", "b")))
    await room.fake.press("U0BOB", quick, "b")
    await room.told("U0BOB", "Your answer counts.")
    held.set()
    await room.told("U0ADA", "Your answer counts.")


FORM = {"type": "modal", "callback_id": "layby:answer"}


async def test_anything_that_arrives_stops_nobody(room: Room) -> None:
    posted = await room.ask(asked(choices=("a", "b")))
    for kind, payload in (
        ("interactive", {"type": "block_actions", "actions": [{"action_id": "layby:x"}]}),
        (
            "interactive",
            {"type": "block_actions", "actions": [{"action_id": "layby:", "value": 7}]},
        ),
        ("interactive", {"type": "view_submission", "view": FORM}),
        ("interactive", {"type": "view_submission", "view": {**FORM, "private_metadata": "{}"}}),
        ("events_api", {"type": "event_callback", "event": {"type": "message"}}),
        ("events_api", {"type": "event_callback", "event": {"type": "message", "text": ["x"]}}),
    ):
        await room.fake.deliver(kind, payload)
    await room.fake.press("U0ADA", posted, "b")
    await room.told("U0ADA", "Your answer counts.")


@pytest.mark.parametrize("politely", [True, False])
async def test_a_lost_connection_comes_back(room: Room, politely: bool) -> None:  # noqa: FBT001
    posted = await room.ask(asked(choices=("a", "b")))
    await room.fake.drop(politely=politely)
    await until(lambda: room.fake.connections == 2, "a new connection")
    await room.fake.press("U0ADA", posted, "b")
    await room.told("U0ADA", "Your answer counts.")


async def test_it_connects_as_soon_as_slack_lets_it(fake_slack: FakeSlack) -> None:
    fake_slack.fail("auth.test", status=503, body="busy")
    fake_slack.fail("conversations.list", error="internal_error")
    fake_slack.fail("apps.connections.open", error="internal_error")
    fake_slack.fail("apps.connections.open", error="ratelimited", retry_after="1")
    room = Room(fake_slack)
    with structlog.testing.capture_logs() as lines:
        async with listening(room):
            posted = await room.ask(asked(choices=("a", "b")))
            await fake_slack.press("U0ADA", posted, "b")
            await room.told("U0ADA", "Your answer counts.")
    assert [each["event"] for each in lines].count("slack.disconnected") == 4
    assert [each for each in lines if "ticket-" in str(each) or "xapp" in str(each)] == []


async def test_channels_with_one_token_share_one_connection(fake_slack: FakeSlack) -> None:
    developers, finance = Room(fake_slack), Room(fake_slack)
    finance.channel = slack("#random", people={"U0BOB": "robert"}, base_url=fake_slack.url)
    async with listening(developers, finance):
        first = await developers.ask(asked(choices=("a", "b")))
        finance.desk.add(asked(question="q2", key="k2", choices=("a", "b")))
        await finance.channel.send(finance.desk.cards["q2"])
        [second] = fake_slack.cards("C0RANDOM")
        await fake_slack.press("U0BOB", first, "a")
        await fake_slack.press("U0BOB", second, "b")
        await until(lambda: bool(developers.answers and finance.answers), "two answers")
        assert developers.answers == [("bob", "a")]
        assert finance.answers == [("robert", "b")]
        assert fake_slack.connections == 1
        elsewhere = Posted("C0NOWHERE", "1.2", "", second.blocks)
        await fake_slack.press("U0BOB", elsewhere, "b")
        await developers.told("U0BOB", "belongs to another app")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"SLACK_APP_TOKEN": ""}, "needs SLACK_APP_TOKEN to take answers"),
        ({"SLACK_APP_TOKEN": "xapp-wrong"}, "set SLACK_APP_TOKEN to an app-level token"),
        ({"SLACK_BOT_TOKEN": ""}, "needs SLACK_BOT_TOKEN"),
        ({"SLACK_BOT_TOKEN": "xoxb-wrong"}, "set SLACK_BOT_TOKEN"),
    ],
)
async def test_without_its_tokens_it_does_not_listen(
    fake_slack: FakeSlack, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], words: str
) -> None:
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    room = Room(fake_slack)
    with pytest.raises(Undeliverable, match=words) as raised:
        await room.channel.listen(room.desk)
    assert "wrong" not in str(raised.value)


async def test_a_message_in_progress_is_finished_before_it_ends(fake_slack: FakeSlack) -> None:
    room = Room(fake_slack)
    room.desk.hold = asyncio.Event()
    task = asyncio.create_task(room.channel.listen(room.desk))
    posted = await room.ask(asked(choices=("a", "b")))
    await fake_slack.press("U0ADA", posted, "a")
    task.cancel()
    room.desk.hold.set()
    with suppress(asyncio.CancelledError):
        await task
    assert room.answers == [("ada", "a")]
    assert fake_slack.told("U0ADA") == ["Your answer counts."]
