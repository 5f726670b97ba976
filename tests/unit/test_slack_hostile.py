"""Whatever comes from Slack, or from somebody who poses as Slack, says nothing by accident."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from layby.actors.people.channels.slack_api import Identity, SlackApi, is_ours, payload_of
from layby.actors.people.channels.slack_button import Pressed, value_of
from layby.actors.people.channels.slack_desk import Reception, origin_of, speaker_of
from layby.actors.people.channels.slack_modal import Origin
from layby.actors.people.channels.slack_people import People
from layby.actors.people.channels.slack_replies import Replies
from tests.slack_cards import approval, card
from tests.slack_desk import SmallDesk

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
VALUES = JSON | st.sampled_from(
    [
        value_of(Pressed(act, ticket, question, role, choice, digest))
        for act in ("approve", "reject", "explain", "choose", "open")
        for ticket, question, role in (("T125", "q1", "developer"), ("T125", "q2", "finance"))
        for choice in (-1, 0, 9)
        for digest in ("", "000000000000")
    ]
)
ADA = {"id": "U0ADA", "team_id": "T0ACME"}
BODIES = st.fixed_dictionaries(
    {
        "user": JSON | st.just(ADA),
        "actions": JSON | st.lists(st.fixed_dictionaries({"value": VALUES}), max_size=2),
        "channel": JSON | st.just({"id": "C0ONCALL"}),
        "view": JSON | st.fixed_dictionaries({"state": JSON, "private_metadata": VALUES}),
        "team": JSON,
    }
)
OURS = Identity("T0ACME", "U0LAYBY", "B0LAYBY")


class Quiet(SlackApi):
    """Knows who it is, finds nothing, and lets people be told anything."""

    async def identity(self) -> Identity:
        return OURS

    async def call(self, method: str, fields: Any) -> dict[str, Any]:
        assert method in {"chat.postEphemeral", "views.open"}
        assert isinstance(fields, dict)
        return {}

    async def read(self, method: str, fields: Any) -> dict[str, Any]:
        del method, fields
        return {}


def reception() -> tuple[Reception, SmallDesk]:
    desk = SmallDesk()
    desk.add(card(choices=("a", "b")))
    desk.add(approval(question="q2"))
    people = People.of({"U0ADA": "ada"}, "here")
    return Reception("C0ONCALL", people, desk, Quiet("http://127.0.0.1:1/api/")), desk


@given(BODIES)
def test_any_click_is_a_choice_of_the_question_or_nothing(body: dict[str, Any]) -> None:
    at, desk = reception()
    asyncio.run(at.pressed(body))
    assert [each.answer for each in desk.said] in ([], ["a"], ["reject"])
    assert all(each.person == "ada" for each in desk.said)


@given(BODIES, VALUES)
def test_any_form_says_something_valid_or_nothing(body: dict[str, Any], value: object) -> None:
    at, desk = reception()
    origin = origin_of(body) or Origin(value=str(value), conversation="C0ONCALL")
    form = asyncio.run(at.submitted(body, origin))
    asyncio.run(at.hand_in(form))
    assert not (form.errors and form.said)
    assert all(each.person == "ada" for each in desk.said)
    assert {str(each.answer) for each in desk.said} <= {"{'reject': ''}"}


@given(st.dictionaries(st.sampled_from(["user", "text", "ts", "thread_ts", "channel"]), JSON))
def test_a_message_that_is_not_a_reply_to_a_card_says_nothing(event: dict[str, Any]) -> None:
    at, desk = reception()
    asyncio.run(Replies().take(event, "T0ACME", at))
    assert desk.said == []


@given(JSON)
def test_anything_can_be_looked_at(anything: object) -> None:
    body = cast("dict[str, Any]", anything if isinstance(anything, dict) else {"x": anything})
    assert not is_ours({**body, "bot_id": "B0OTHER", "user": "U0OTHER"}, OURS)
    assert payload_of({"metadata": anything}, "layby_card") == {}
    assert speaker_of({"user": anything}).person == ""
