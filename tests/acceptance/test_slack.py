"""Cards in Slack: sent once, rewritten, and what goes wrong on the way."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from layby.actors.people.channels.slack import SlackChannel
from layby.channels import Card, Channel, ChannelError, Listening, Undeliverable, slack
from tests.fix_slack import APP_TOKEN, BOT_TOKEN, ONCALL, FakeSlack
from tests.slack_cards import approval, card

PEOPLE = {"U0ADA": "ada", "U0BOB": "bob"}


def now(**fields: Any) -> Card:
    """A question that was asked just now."""
    return card(asked_at=time.time(), deadline=time.time() + 3_600, **fields)


def oncall(fake: FakeSlack, channel: str = "#oncall") -> SlackChannel:
    return slack(channel, people=PEOPLE, base_url=fake.url)


async def test_a_card_is_posted_and_found_again(fake_slack: FakeSlack) -> None:
    asked = now(told=("ada",))
    ref = await oncall(fake_slack).send(asked)
    [posted] = fake_slack.cards()
    assert ref == f"{ONCALL}/{posted.ts}"
    assert "Is this a known problem?" in posted.words
    assert "<@U0ADA>" in posted.words
    assert await oncall(fake_slack).send(asked) == ref
    assert len(fake_slack.cards()) == 1
    assert isinstance(oncall(fake_slack), Channel)
    assert isinstance(oncall(fake_slack), Listening)


async def test_a_card_whose_confirmation_was_lost_is_not_posted_again(
    fake_slack: FakeSlack,
) -> None:
    asked = now()
    fake_slack.fail("chat.postMessage", lost=True)
    with pytest.raises(ChannelError, match="cannot be reached"):
        await oncall(fake_slack).send(asked)
    ref = await oncall(fake_slack).send(asked)
    assert [f"{ONCALL}/{each.ts}" for each in fake_slack.cards()] == [ref]


async def test_a_card_is_found_among_many_other_messages(fake_slack: FakeSlack) -> None:
    asked = now()
    ref = await oncall(fake_slack).send(asked)
    fake_slack.page = 5
    for number in range(23):
        fake_slack.write(f"message {number}")
    assert await oncall(fake_slack).send(asked) == ref


async def test_the_metadata_of_others_is_not_believed(fake_slack: FakeSlack) -> None:
    asked = now()
    await oncall(fake_slack).send(asked)
    ours = fake_slack.messages.pop()
    fake_slack.write("mine", metadata=ours.metadata, bot_id="B0OTHER", user="U0OTHER")
    await oncall(fake_slack).send(asked)
    assert fake_slack.messages[-1].bot_id == "B0LAYBY"


async def test_a_channel_may_be_named_by_its_id(fake_slack: FakeSlack) -> None:
    await oncall(fake_slack, ONCALL).send(now())
    assert fake_slack.calls("conversations.list") == []
    with pytest.raises(Undeliverable, match="no channel #nowhere that the app can see"):
        await oncall(fake_slack, "#nowhere").send(now())


async def test_a_reminder_is_a_reply_that_mentions_people(fake_slack: FakeSlack) -> None:
    channel = oncall(fake_slack)
    first = await channel.send(now())
    reminder = now(key="k2", kind="reminder", number=1, told=("ada",), first=first)
    ref = await channel.send(reminder)
    [root] = fake_slack.cards()
    [reply] = fake_slack.replies(root)
    assert ref == f"{first.split('/')[0]}/{reply.ts}/{root.ts}"
    assert "<@U0ADA> Reminder 1" in reply.words
    assert not reply.broadcast
    assert await channel.send(reminder) == ref
    for_all = now(key="k3", kind="reminder", number=2, first=first)
    await channel.send(for_all)
    assert fake_slack.replies(root)[-1].broadcast
    later = now(key="k4", kind="escalation", number=1, to="person:bob", first=ref)
    await channel.send(later)
    assert "<@U0BOB> You are asked too" in fake_slack.replies(root)[-1].words
    edits = root.edits
    await channel.update(ref, reminder)
    await channel.close(ref, now(status="answered", run_status="completed", result="done"))
    assert root.edits == edits
    assert len(fake_slack.replies(root)) == 3


async def test_an_open_card_is_rewritten_and_a_closed_one_has_no_buttons(
    fake_slack: FakeSlack,
) -> None:
    channel = oncall(fake_slack)
    ref = await channel.send(now())
    [posted] = fake_slack.cards()
    metadata = posted.metadata
    await channel.update(ref, now(claimed_by="bob"))
    assert "bob is on it" in posted.words
    ended = now(status="answered", outcome="ada answered: it is", by="ada", closed_at=time.time())
    for _ in range(2):
        await channel.close(ref, ended)
    assert posted.labels == []
    assert "ada answered: it is" in posted.words
    assert posted.metadata == metadata
    assert fake_slack.replies(posted) == []


async def test_the_result_of_the_run_is_posted_once(fake_slack: FakeSlack) -> None:
    channel = oncall(fake_slack)
    ref = await channel.send(now())
    [posted] = fake_slack.cards()
    ended = now(status="answered", by="ada", run_status="completed", result="<!channel> *paid*")
    fake_slack.fail("chat.postMessage", lost=True)
    with pytest.raises(ChannelError):
        await channel.close(ref, ended)
    for _ in range(2):
        await channel.close(ref, ended)
    [result] = fake_slack.replies(posted)
    assert "The run has ended: completed" in result.words
    assert "<!channel> *paid*" in result.words
    assert result.blocks[-1]["type"] == "rich_text"  # where nothing of it is a mention


async def test_two_workers_that_post_a_result_at_the_same_time_leave_one(
    fake_slack: FakeSlack,
) -> None:
    one, two = oncall(fake_slack), oncall(fake_slack)
    ref = await one.send(now())
    [posted] = fake_slack.cards()
    ended = now(status="answered", by="ada", run_status="completed", result="paid")
    fake_slack.together("chat.postMessage", 2)
    await asyncio.gather(one.close(ref, ended), one.close(ref, ended), two.close(ref, ended))
    assert len(fake_slack.calls("chat.postMessage")) == 3
    assert len(fake_slack.calls("chat.delete")) == 1
    assert len(fake_slack.replies(posted)) == 1


async def test_a_card_that_slack_finds_too_long_is_sent_shorter(fake_slack: FakeSlack) -> None:
    fake_slack.fail("chat.postMessage", error="msg_blocks_too_long")
    asked = approval(asked_at=time.time(), context="x" * 1_400, arguments='{"a": "' + "y" * 2_000)
    ref = await oncall(fake_slack).send(asked)
    [posted] = fake_slack.cards()
    assert "characters of the arguments" in posted.words
    assert "Approve" not in posted.labels
    fake_slack.fail("chat.update", error="msg_too_long")
    await oncall(fake_slack).update(ref, asked)
    assert posted.edits == 1


@pytest.mark.parametrize(
    ("fault", "kind", "words", "wait"),
    [
        ({"status": 429, "retry_after": "17"}, ChannelError, "asks to wait 17 s", 17.0),
        ({"error": "ratelimited", "retry_after": "3"}, ChannelError, "asks to wait 3 s", 3.0),
        ({"error": "internal_error"}, ChannelError, "for now: internal_error", None),
        ({"status": 503, "body": "<html>busy"}, ChannelError, "HTTP status 503", None),
        ({"status": 200, "body": "hello"}, ChannelError, "HTTP status 200", None),
        ({"error": "new_word"}, ChannelError, "for now: new_word", None),
        ({"error": "is_archived"}, Undeliverable, "unarchive it", None),
        ({"error": "not_in_channel"}, Undeliverable, "/invite @layby", None),
        ({"error": "token_revoked"}, Undeliverable, "set SLACK_BOT_TOKEN", None),
    ],
)
async def test_errors_of_slack_are_temporary_or_say_what_to_do(
    fake_slack: FakeSlack,
    fault: dict[str, Any],
    kind: type[ChannelError],
    words: str,
    wait: float | None,
) -> None:
    fake_slack.fail("chat.postMessage", **fault)
    with pytest.raises(ChannelError, match=words) as raised:
        await oncall(fake_slack).send(now())
    assert type(raised.value) is kind
    assert raised.value.retry_after == wait
    assert BOT_TOKEN not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    assert len(fake_slack.calls("chat.postMessage")) == 1  # the SDK tried nothing again


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("chat.postMessage", {"ok": True}),
        ("chat.postMessage", {"ok": True, "ts": 7}),
        ("chat.postMessage", ["ok"]),
        ("chat.postMessage", "ok"),
        ("conversations.list", {"ok": True, "channels": {"id": 7}}),
        ("conversations.list", {"ok": True, "channels": [None, {"name": "oncall"}]}),
    ],
)
async def test_a_meaningless_response_is_an_error_of_the_channel(
    fake_slack: FakeSlack, method: str, answer: object
) -> None:
    fake_slack.fail(method, answer=answer)
    with pytest.raises(ChannelError):
        await oncall(fake_slack).send(now())


@pytest.mark.parametrize("answer", [{"ok": True}, {"ok": True, "messages": [7, {"ts": 1}]}])
async def test_a_meaningless_history_has_no_card(fake_slack: FakeSlack, answer: object) -> None:
    fake_slack.fail("conversations.history", answer=answer)
    await oncall(fake_slack).send(now())
    assert len(fake_slack.cards()) == 1


async def test_a_server_that_is_away_is_a_temporary_error(fake_slack: FakeSlack) -> None:
    away = slack("#oncall", base_url="http://127.0.0.1:1/api/")
    with pytest.raises(ChannelError, match="cannot be reached") as raised:
        await away.send(now())
    assert not isinstance(raised.value, Undeliverable)
    fake_slack.fail("chat.postMessage", hang=True)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await oncall(fake_slack).send(now())


async def test_a_message_that_is_gone_cannot_be_rewritten(fake_slack: FakeSlack) -> None:
    channel = oncall(fake_slack)
    ref = await channel.send(now())
    fake_slack.messages.clear()
    with pytest.raises(Undeliverable, match="was deleted"):
        await channel.update(ref, now())
    for wrong in ("", "C1", "C1/x", f"{ref}/../..", "<!channel>"):
        with pytest.raises(Undeliverable, match="names no message"):
            await channel.close(wrong, now())


async def test_missing_settings_are_named_without_secrets(
    fake_slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = oncall(fake_slack)
    assert channel.missing() == ""
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-wrong-secret")
    with pytest.raises(Undeliverable, match="set SLACK_BOT_TOKEN") as raised:
        await channel.send(now())
    assert "wrong-secret" not in f"{raised.value!r} {channel!r}"
    monkeypatch.delenv("SLACK_BOT_TOKEN")
    assert channel.missing().startswith("SLACK_BOT_TOKEN")
    with pytest.raises(ChannelError, match="Slack needs SLACK_BOT_TOKEN"):
        await channel.send(now())
    assert APP_TOKEN not in repr(vars(channel))


async def test_a_card_whose_reply_was_lost_is_found_again(fake_slack: FakeSlack) -> None:
    channel = slack("#oncall", base_url=fake_slack.url)
    assert await channel.find(card()) == ""
    fake_slack.fail("chat.postMessage", lost=True)
    with pytest.raises(ChannelError):
        await channel.send(card())
    [posted] = fake_slack.cards()
    found = await channel.find(card())
    assert found == f"{posted.channel}/{posted.ts}"
    await channel.close(found, card(status="answered", by="ada", outcome="ada answered: yes"))
    assert "Answered" in posted.words
