"""Waits for events: each event once, in the order they were stored, and none that was consumed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from layby import App, NonRetriableError, Step
from layby.actors.workflows.event_waits import WaitActor
from layby.bus.bucket import Bucket
from layby.bus.mailbox import Delivery
from layby.runtime.entry import ROOT, Arrived, Raw, Reopened
from layby.runtime.errors import Fenced
from layby.runtime.ids import run_id
from layby.runtime.run import LiveRun
from layby.runtime.state import RunState
from layby.testing import TestRuntime, replay
from tests.engine import Engine, app_of, is_handled, until
from tests.testkit_app import app as testkit

pytestmark = pytest.mark.nats

SAID = "chat.said"


def chat(count: int) -> App:
    """A workflow that waits for `count` messages, one after the other."""

    async def handle(event: dict[str, Any], step: Step) -> list[str]:
        received: list[str] = []
        while len(received) < count:
            message = await step.wait_for_event(SAID, match={"ticket": event["ticket"]})
            received.append(message["text"])
        return received

    return app_of(handle, events=[SAID])


async def say(engine: Engine, *texts: str, ticket: str = "T1") -> None:
    for text in texts:
        await engine.client.send(SAID, {"ticket": ticket, "text": text})


async def waiting(engine: Engine, run: str, count: int = 1) -> RunState:
    """The run once `count` of its waits are open and registered."""

    async def look() -> RunState | None:
        state = await engine.state(run)
        ready = state.waits >= count and await registered(engine) >= count
        return state if ready else None

    state = await until(look)
    assert state is not None
    return state


async def registered(engine: Engine) -> int:
    found = 0
    async for item in Bucket(engine.wire, "waits").items():
        if item.key.startswith("wait-"):
            found += len(msgspec.json.decode(item.value)["waits"])
    return found


async def test_a_later_wait_does_not_get_the_event_that_the_first_one_consumed(
    engine: Engine,
) -> None:
    async with engine.works(chat(3)):
        run = await engine.start()
        for text in ("one", "two", "three"):
            await waiting(engine, run)
            await say(engine, text)
            await until(partial(has_received, engine, run, text))
        assert await engine.result(run) == ["one", "two", "three"]


async def has_received(engine: Engine, run: str, text: str) -> bool:
    slots = (await engine.state(run)).root.slots.values()
    return any(slot.settled and text in bytes(slot.result).decode() for slot in slots)


async def test_a_burst_before_the_first_wait_is_received_in_order(engine: Engine) -> None:
    async with engine.works(chat(3)):
        pass  # provisioned; nobody works
    run = await engine.start()
    await say(engine, "one", "two", "three")
    async with engine.works(chat(3)):
        assert await engine.result(run) == ["one", "two", "three"]


async def test_a_burst_during_the_waits_of_three_workers_is_received_in_order(
    engine: Engine,
) -> None:
    texts = [str(n) for n in range(30)]
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(engine.works(chat(len(texts))))
        tickets = ["A", "B", "C", "D"]
        runs = [await engine.start(ticket) for ticket in tickets]
        sends = [
            engine.client.send(SAID, {"ticket": ticket, "text": text})
            for text in texts
            for ticket in tickets
        ]
        await asyncio.gather(*sends)
        for run in runs:
            assert sorted(await engine.result(run), key=int) == texts
        for run, ticket in zip(runs, tickets, strict=True):
            assert await engine.result(run) == await stored(engine, ticket)


async def test_an_event_that_is_handled_first_does_not_overtake_the_one_stored_before_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    second_is_handled = asyncio.Event()

    async def handle(self: WaitActor, delivery: Delivery) -> None:
        if b"one" in delivery.data:
            await second_is_handled.wait()
        await _handle(self, delivery)
        second_is_handled.set()

    monkeypatch.setattr(WaitActor, "event", handle)
    async with engine.works(chat(2)):
        run = await engine.start()
        await waiting(engine, run)
        await say(engine, "one", "two")
        assert await engine.result(run) == ["one", "two"]


_handle = WaitActor.event


async def stored(engine: Engine, ticket: str) -> list[str]:
    """What was said on a ticket, in the order of the stream."""
    body = {"next_by_subj": SAID, "seq": 1, "batch": 1000}
    events = [
        msgspec.json.decode(message.data)
        for message in await engine.wire.direct_get("EVENTS", body)
        if not message.status
    ]
    return [event["text"] for event in events if event["ticket"] == ticket]


async def test_an_event_that_comes_while_the_wait_is_registered_is_received(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = iter(["one", "two", "three", "four"])

    async def put(self: Bucket, key: str, *args: Any, **more: Any) -> int:
        """One event is stored just before the wait is, one just after."""
        adding = self.name == "waits" and key.startswith("wait-") and b"run" in args[0]
        if adding:
            await say(engine, *filter(None, [next(texts, "")]))
        revision = await _put(self, key, *args, **more)
        if adding:
            await say(engine, *filter(None, [next(texts, "")]))
        return revision

    monkeypatch.setattr(Bucket, "put", put)
    async with engine.works(chat(4)), engine.works(chat(4)):
        run = await engine.start()
        assert await engine.result(run) == ["one", "two", "three", "four"]


_put = Bucket.put


async def test_the_event_that_began_the_run_is_not_given_to_its_waits(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> str:
        later = await step.wait_for_event("desk.opened", match={"ticket": event["ticket"]})
        return f"{event['text']}, {later['text']}"

    async with engine.works(app_of(handle, events=[SAID])):
        first = await engine.start(text="one")
        await waiting(engine, first)
        await engine.start(text="two")
        assert await engine.result(first) == "one, two"


async def test_events_stored_since_the_runs_own_event_count_even_if_no_worker_was_running(
    engine: Engine,
) -> None:
    async with engine.works(chat(1)):
        pass
    await say(engine, "before the run")
    run = await engine.start()
    await say(engine, "since the run")
    async with engine.works(chat(1)):
        assert await engine.result(run) == ["since the run"]


async def test_waits_that_are_open_together_may_share_an_event(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> list[Any]:
        match = {"ticket": event["ticket"]}
        both = await step.gather(
            step.wait_for_event(SAID, match=match), step.wait_for_event(SAID, match=match)
        )
        both.append(await step.wait_for_event(SAID, match=match))
        return [message["text"] for message in both]

    async with engine.works(app_of(handle, events=[SAID])):
        run = await engine.start()
        await waiting(engine, run, 2)
        await say(engine, "one", "two")
        assert await engine.result(run) == ["one", "one", "two"]


async def test_a_consumed_event_cannot_be_appended_for_a_later_wait(engine: Engine) -> None:
    """The log decides: a worker that believes otherwise is refused."""
    async with engine.works(chat(2)):
        run = await engine.start()
        await waiting(engine, run)
        await say(engine, "one")
        await until(lambda: has_received(engine, run, "one"))
        state = await waiting(engine, run)
        [key] = [key for key, slot in state.root.slots.items() if not slot.settled]
        [first] = [slot for slot in state.root.slots.values() if slot.settled]
        live = LiveRun(engine.log, RunState(id=run))
        again = Arrived(frame=ROOT, key=key, event=Raw(b"{}"), seq=first.seq)
        with pytest.raises(Fenced):
            await live.append([again])


async def test_an_event_delivered_again_leaves_the_next_wait_registered(engine: Engine) -> None:
    """Its worker died before it acknowledged, when the run had gone on to its next wait."""
    async with engine.works(chat(2)):
        run = await engine.start()
        await waiting(engine, run)
        await say(engine, "one")
        await until(lambda: has_received(engine, run, "one"))
        await waiting(engine, run)
    spec = (await engine.wire.api("CONSUMER.INFO.EVENTS.waits"))["config"]
    await engine.wire.api("CONSUMER.DELETE.EVENTS.waits")
    body = {"stream_name": "EVENTS", "config": spec}
    await engine.wire.api("CONSUMER.CREATE.EVENTS.waits.>", body)
    async with engine.works(chat(2)):
        await until(lambda: is_handled(engine.wire, "EVENTS.waits"))
        assert await registered(engine) == 1
        await say(engine, "two")
        assert await engine.result(run) == ["one", "two"]


FORGED = {
    "Nats-Sequence": ["abc", "1", "0", "99999999999999999999", ""],
    "Nats-Subject": ["chat.other", ""],
    "Nats-Stream": ["RUNS"],
    "Nats-Time-Stamp": ["yesterday", "2001-01-01T00:00:00Z"],
    "Nats-Num-Pending": ["abc", "0"],
    "Nats-UpTo-Sequence": ["abc", "0"],
    "Nats-Last-Sequence": ["abc"],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in FORGED.items() for value in values]
)
async def test_a_header_that_the_sender_has_forged_neither_fails_nor_misleads_a_wait(
    engine: Engine, name: str, value: str
) -> None:
    async with engine.works(chat(2)):
        pass
    run = await engine.start()
    await engine.wire.store(SAID, b'{"ticket":"T9","text":"none"}', {name: value})
    await engine.wire.store(SAID, b'{"ticket":"T1","text":"one"}', {name: value})
    await engine.wire.store(SAID, b'{"ticket":"T1","text":"two"}', {name: value})
    async with engine.works(chat(2)):
        assert await engine.result(run) == ["one", "two"]


@pytest.mark.parametrize("first", ["NATS/1.0 204 EOB", "NATS/1.0 404", "NATS/1.0 100 Idle"])
async def test_an_event_that_looks_like_a_status_hides_no_other(engine: Engine, first: str) -> None:
    async with engine.works(chat(1)):
        pass
    run = await engine.start()
    await raw(engine, SAID, f"{first}\r\n\r\n".encode(), b"{}")
    await say(engine, "one")
    async with engine.works(chat(1)):
        assert await engine.result(run) == ["one"]


async def raw(engine: Engine, subject: str, block: bytes, data: bytes) -> None:
    """Publish with a header block that no client would write; return when it is stored."""
    before = await engine.wire.api("STREAM.INFO.EVENTS")
    size = len(block) + len(data)
    frame = b"".join((f"HPUB {subject} {len(block)} {size}\r\n".encode(), block, data, b"\r\n"))
    engine.connection.nc._write(frame)  # pyright: ignore[reportPrivateUsage]

    async def kept() -> bool:
        now = await engine.wire.api("STREAM.INFO.EVENTS")
        return bool(now["state"]["last_seq"] > before["state"]["last_seq"])

    await until(kept)


# -- workers that die, and logs of the version before ------------------------------------------

Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]
APP = "tests.testkit_app:app"
HISTORIES = Path(__file__).parent.parent / "histories"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "after"),
    [
        ("event_taken", 1),
        ("before_append", 2),
        ("after_append", 1),
        ("before_arrived", 1),
        ("before_arrived", 2),
        ("after_arrived", 1),
        ("after_arrived", 3),
        ("before_ack", 1),
        ("before_ack", 4),
    ],
)
async def test_a_chat_receives_each_message_once_wherever_its_worker_dies(
    layby_running: Running, point: str, after: int
) -> None:
    async with layby_running(APP, workers=0) as rt:
        await rt.send("testkit.chat", {"order": "A1"})
        async with rt.crashing(point, after=after):
            for text in ("one", "two", "three"):
                await rt.send("testkit.said", {"order": "A1", "text": text})
        async with rt.worker(), rt.worker(), rt.worker():
            assert await rt.result("A1") == ["charged one", "charged two", "charged three"]


async def test_a_chat_is_replayed_as_it_was() -> None:
    await replay(testkit, HISTORIES / "chat_completed.json")


async def test_a_wait_without_an_end_is_not_armed_when_its_mail_comes_again(
    layby_running: Running,
) -> None:
    async with layby_running(APP, workers=0) as rt:
        await rt.send("testkit.chat", {"order": "A1"})
        await rt.crash("before_ack")
        with capture_logs() as logs:
            async with rt.worker():
                for text in ("one", "two", "three"):
                    await rt.send("testkit.said", {"order": "A1", "text": text})
                await rt.result("A1")
        assert [line for line in logs if line["event"] == "delivery.failed"] == []


async def test_a_run_parked_by_the_previous_version_knows_which_events_it_has_received(
    engine: Engine,
) -> None:
    """Its parked state says nothing of events: the log is folded anew."""

    async def handle(event: dict[str, Any], step: Step) -> list[str]:
        match = {"ticket": event["ticket"]}
        first = await step.wait_for_event(SAID, match=match)
        await step.ask("developer", "Go on?")
        second = await step.wait_for_event(SAID, match=match)
        return [first["text"], second["text"]]

    app = app_of(handle, events=[SAID])
    async with engine.works(app):
        run = await engine.start()
        await waiting(engine, run)
        await say(engine, "one")
        await engine.question()
    parked = Bucket(engine.wire, "parked")
    item = await parked.get_newest("T1")
    assert item is not None
    record = msgspec.json.decode(item.value)
    old = record["runs"][run]
    del old["consumed"], old["form"]
    for slot in old["frames"][ROOT]["slots"].values():
        slot.pop("seq", None)
    await parked.put("T1", msgspec.json.encode(record))
    async with engine.works(app):
        await engine.answer()
        await say(engine, "two")
        assert await engine.result(run) == ["one", "two"]


async def test_a_wait_registered_by_the_previous_version_is_woken(engine: Engine) -> None:
    """It had no `seen`, and the number in its match was a number in its key."""

    async def handle(event: dict[str, Any], step: Step) -> str:
        return str((await step.wait_for_event(SAID, match={"n": event["n"]}))["text"])

    waits = Bucket(engine.wire, "waits")
    async with engine.works(app_of(handle, events=[SAID])):
        run = await engine.start(n=42)
        await waiting(engine, run)
        [item] = [each async for each in waits.items() if each.key.startswith("wait-")]
        record = msgspec.json.decode(item.value)
        del record["waits"][0]["seen"]
        await waits.forget(item.key)
        digest = hashlib.blake2b(f'{SAID}\x1f{{"n":42}}'.encode(), digest_size=15).digest()
        key = f"wait-{base64.b32encode(digest).decode().lower()}"
        await waits.put(key, msgspec.json.encode(record))
        await engine.client.send(SAID, {"n": 42, "text": "one"})
        assert await engine.result(run) == "one"


# -- fields: paths, numbers and their text -----------------------------------------------------


def inngest(**options: Any) -> App:
    """A workflow whose events have their fields in `data`, as those of Inngest have."""
    app = App("desk", events=["ticket.answered"])

    @app.workflow(on="ticket.created", key="data.ticketId", name="handle", **options)
    async def handle(event: dict[str, Any], step: Step) -> list[str]:
        del event
        by_ticket = await step.wait_for_event(
            "ticket.answered", match={"data.ticketId": step.ticket}
        )
        same = await step.wait_for_event("ticket.answered", match="data.ticketId", timeout="4h")
        return [step.ticket, by_ticket["data"]["text"], same["data"]["text"]]

    return app


@pytest.mark.parametrize(
    ("ticket", "answered"), [(42, 42), (42, "42"), ("42", 42), ("T1", "T1")], ids=repr
)
async def test_key_and_match_take_paths_and_a_number_equals_its_text(
    engine: Engine, ticket: Any, answered: Any
) -> None:
    send = engine.client.send
    async with engine.works(inngest()):
        await send("ticket.created", {"data": {"ticketId": ticket}}, event_id="e1")
        run = run_id("handle", "e1")
        for text in ("one", "two"):
            await waiting(engine, run)
            await send("ticket.answered", {"data": {"ticketId": "other", "text": "none"}})
            await send("ticket.answered", {"data": {"ticketId": answered, "text": text}})
            await until(partial(has_received, engine, run, text))
        assert await engine.result(run) == [str(ticket), "one", "two"]
        assert (await engine.client.show(str(ticket))).id == run


@pytest.mark.parametrize("ticket", [42, "42"], ids=repr)
async def test_cancel_on_finds_the_ticket_by_its_path(engine: Engine, ticket: Any) -> None:
    async with engine.works(inngest(cancel_on="ticket.closed")):
        await engine.client.send("ticket.created", {"data": {"ticketId": 42}}, event_id="e1")
        run = run_id("handle", "e1")
        await waiting(engine, run, 1)
        await engine.client.send("ticket.closed", {"data": {"ticketId": ticket}})
        assert (await engine.ended(run)).status == "cancelled"


async def test_an_event_before_the_run_does_not_cancel_it(engine: Engine) -> None:
    async with engine.works(inngest(cancel_on="ticket.closed")):
        await engine.client.send("ticket.closed", {"data": {"ticketId": 42}})
        await engine.client.send("ticket.created", {"data": {"ticketId": 42}}, event_id="e1")
        run = run_id("handle", "e1")
        await waiting(engine, run, 1)
        assert not (await engine.state(run)).ended


async def test_an_event_without_the_key_field_starts_nothing_and_says_so(
    engine: Engine,
) -> None:
    async with engine.works(inngest()):
        await engine.client.send("ticket.created", {"ticketId": 42}, event_id="e1")
        [letter] = await until(engine.client.dead)
        assert "the field 'data.ticketId' must be text or a whole number" in letter.reason


async def test_a_match_by_a_path_to_nothing_blocks_the_run_until_the_code_is_right(
    engine: Engine,
) -> None:
    async def wrong(event: dict[str, Any], step: Step) -> str:
        del event
        return str((await step.wait_for_event(SAID, match="data.ticketId"))["text"])

    async def right(event: dict[str, Any], step: Step) -> str:
        del event
        return str((await step.wait_for_event(SAID, match="ticket"))["text"])

    async with engine.works(app_of(wrong, events=[SAID])):
        run = await engine.start()
        block = await engine.blocked(run)
        reason = "match='data.ticketId': the event that began the run has no such field, only "
        assert reason in block.reason
    async with engine.works(app_of(right, events=[SAID])):
        await say(engine, "one")
        assert await engine.result(run) == "one"


# -- runs that began in another stream, and runs that were reopened ----------------------------


async def test_a_run_started_by_another_stream_gets_its_events_from_this_one(
    engine: Engine,
) -> None:
    """The sequences of two streams say nothing of each other."""
    config = {"name": "CORP", "subjects": ["corp.>"], "storage": "file", "allow_direct": True}
    await engine.wire.api("STREAM.CREATE.CORP", config)
    for n in range(20):
        await engine.wire.store("corp.other", str(n).encode())
    app = App("desk", events=[SAID])

    @app.workflow(on="corp.opened", key="ticket", name="handle", stream="CORP")
    async def handle(event: dict[str, Any], step: Step) -> list[str]:
        match = {"ticket": event["ticket"]}
        texts = [(await step.wait_for_event(SAID, match=match))["text"] for _ in range(2)]
        return [str(text) for text in texts]

    async with engine.works(app):
        run = await engine.start(on="corp.opened")
        await waiting(engine, run)
        await say(engine, "one", "two")
        assert await engine.result(run) == ["one", "two"]


async def test_a_wait_of_a_run_that_was_reopened_is_registered_again(
    engine: Engine, tmp_path: Path
) -> None:
    fixed = tmp_path / "fixed"

    async def work() -> None:
        if not fixed.exists():
            raise NonRetriableError("not yet")

    async def handle(event: dict[str, Any], step: Step) -> str:
        match = {"ticket": event["ticket"]}
        waits = step.wait_for_event(SAID, match=match)
        message, _ = await step.gather(waits, step.run("work", work))
        return str(message["text"])

    async def completed(run: str) -> bool:
        return (await engine.state(run)).status == "completed"

    async def tidied() -> bool:
        return not await registered(engine)

    async with engine.works(app_of(handle, events=[SAID])):
        run = await engine.start()
        assert (await engine.ended(run)).status == "failed"
        await until(tidied)
        fixed.touch()
        live = LiveRun(engine.log, RunState(id=run))
        await live.catch_up()
        await live.append([Reopened(by="ada", why="fixed")], to=live.state.root.actor)
        await waiting(engine, run)
        await say(engine, "one")
        await until(partial(completed, run))
        assert await has_received(engine, run, "one")
