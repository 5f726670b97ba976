"""Reply subjects: what the server sends to them passes no permission within an account."""

from __future__ import annotations

import json
from typing import Any

import pytest

from layby.bus.errors import StreamMissing
from layby.bus.log_subject import partition
from layby.bus.opened import opened
from tests.engine import until
from tests.security.house import EVENT, WITHIN, House, Raw

pytestmark = pytest.mark.nats

NOSUCH = b"$JS.API.DIRECT.GET.KV_questions.$KV.questions.nosuch"
"""A read that is answered with an empty message."""


async def info(house: House, stream: str) -> dict[str, Any] | None:
    """What the server says of a stream; None when there is none."""
    async with opened(house.settings("provisioner")) as bus:
        try:
            return await bus.requests.api(f"STREAM.INFO.{stream}")
        except StreamMissing:
            return None


async def exists(house: House, stream: str) -> bool:
    return await info(house, stream) is not None


async def held(house: House, stream: str, subject: str) -> int:
    """How many messages a stream has on a subject."""
    async with opened(house.settings("provisioner")) as bus:
        reply = await bus.requests.api(f"STREAM.INFO.{stream}", {"subjects_filter": subject})
        subjects: dict[str, int] = reply["state"].get("subjects") or {}
        return sum(subjects.values())


async def expect(house: House, stream: str, subject: str) -> None:
    """Wait for what was planted where all share an account; behind the wall there is nothing."""

    async def planted() -> bool:
        return bool(await held(house, stream, subject))

    if house.walled:
        assert not await planted()
    else:
        await until(planted, WITHIN)


async def goes_on(house: House, run: str, ticket: str = "T1") -> None:
    """The run takes bob's answer, and ends."""
    async with house.client("bob") as bob:
        receipt = await bob.answer(ticket, "yes", responder="bob", timeout=WITHIN)
    assert receipt.outcome == "accepted"
    assert (await house.ended(run)).result == "bob: yes"


async def test_a_person_deletes_all_logs(house: House) -> None:
    async with house.working():
        async with house.raw("ada") as ada:
            ada.publish(NOSUCH, reply=b"$JS.API.STREAM.DELETE.RUNS")
            assert await ada.sent() == []
        if house.walled:
            await goes_on(house, await house.question("T1"))
            assert await exists(house, "RUNS")
        else:

            async def gone() -> bool:
                return not await exists(house, "RUNS")

            await until(gone)


async def test_an_observer_deletes_all_events(house: House) -> None:
    async with house.working():
        async with house.raw("observer") as observer:
            observer.publish(
                b"$JS.API.DIRECT.GET.EVENTS.nosuch", reply=b"$JS.API.STREAM.DELETE.EVENTS"
            )
            assert await observer.sent() == []

        async def gone() -> bool:
            return not await exists(house, "EVENTS")

        if house.walled:
            assert not await gone()
        else:
            await until(gone, WITHIN)


async def test_an_observer_has_the_words_of_a_customer_answer_as_the_boss(house: House) -> None:
    async with house.working():
        run = await house.question("T1")
        async with house.client("helpdesk") as helpdesk:
            sent = await helpdesk.send(EVENT, b'{"answer": "approve"}')
        async with house.raw("observer") as observer:
            observer.publish(
                b"$JS.API.DIRECT.GET.EVENTS",
                b'{"seq": %d}' % sent.seq,
                reply=b"developer.response.T1.boss",
            )
            assert await observer.sent() == []
        await expect(house, "ANSWERS", "developer.response.T1.boss")
        if house.walled:
            await goes_on(house, run)
        else:
            assert (await house.ended(run)).result == "boss: approve"


async def test_a_person_fills_the_subject_of_another(house: House) -> None:
    async with house.working():
        run = await house.question("T1")
        async with house.raw("ada") as ada:
            for _ in range(1_000):
                ada.publish(NOSUCH, reply=b"developer.response.T1.bob")
            assert await ada.sent() == []
        await expect(house, "ANSWERS", "developer.response.T1.bob")
        if house.walled:
            await goes_on(house, run)


async def test_a_person_plants_an_entry_in_a_log(house: House) -> None:
    async with house.working():
        run = await house.question("T1")
        place = f"to.{partition(run)}.log.{run}.9"
        async with house.raw("ada") as ada:
            ada.publish(NOSUCH, reply=place.encode())
            assert await ada.sent() == []
        await expect(house, "RUNS", place)
        if house.walled:
            await goes_on(house, run)


async def test_a_person_plants_a_row_in_the_index(house: House) -> None:
    async with house.working():
        run = await house.question("T1")
        async with house.raw("ada") as ada:
            ada.publish(NOSUCH, reply=b"$KV.runs.junk")
            ada.publish(b"developer.response.T7.ada", b"no such ticket", reply=b"$KV.runs.*.*")
            assert await ada.sent() == []
        await expect(house, "KV_runs", "$KV.runs.junk")
        if house.walled:
            await goes_on(house, run)


async def test_a_sender_tells_workers_that_a_run_is_cancelled(house: House) -> None:
    """Core messages leave no trace, so somebody inside listens."""
    async with house.working(), house.raw("worker") as inside:
        run = await house.question("T1")
        inside.subscribe(b"layby.cancel.*")
        assert await inside.sent() == []
        async with house.raw("helpdesk") as helpdesk:
            helpdesk.publish(EVENT.encode(), b'{"ticketId": "T9"}', reply=b"layby.cancel.x")
            assert await helpdesk.sent() == []
        await house.listed("T9")  # so the acknowledgement was sent, too
        if house.walled:
            await inside.sent()
            assert inside.messages == []
            await goes_on(house, run)
        else:
            assert (await inside.received())[0][0] == b"layby.cancel.x"


REQUESTS = {
    "ada": [
        (NOSUCH, b""),
        (b"$JS.API.DIRECT.GET.KV_questions", b'{"next_by_subj":"$KV.questions.>","batch":9}'),
        (b"developer.response.T8.ada", b'{"answer":"approve"}'),
        (b"developer.response.T8", b'{"answer":"approve"}'),
    ],
    "helpdesk": [(EVENT.encode(), b'{"ticketId":"T9","answer":"approve"}')],
    "observer": [
        (b"$JS.API.DIRECT.GET.EVENTS", b'{"seq":1}'),
        (b"$JS.API.DIRECT.GET.RUNS", b'{"seq":1,"batch":5}'),
        (b"$JS.API.STREAM.INFO.EVENTS", b""),
        (b"$JS.API.STREAM.MSG.GET.EVENTS", b'{"seq":1}'),
        (b"$JS.API.CONSUMER.LIST.EVENTS", b""),
        (b"$SYS.REQ.USER.INFO", b""),
    ],
    "operator": [(b"$JS.API.DIRECT.GET.EVENTS", b'{"seq":1}'), (b"layby.do.what.operator", b"{}")],
}
"""What each outsider may ask, and gets an answer to."""

TARGETS = [
    *(b"$JS.API.STREAM.DELETE.RUNS", b"$JS.API.STREAM.PURGE.ANSWERS"),
    *(b"$JS.API.STREAM.DELETE.KV_parked", b"$JS.API.STREAM.CREATE.MINE"),
    *(b"$JS.API.CONSUMER.DELETE.ANSWERS.answers-developer", b"$JS.API.SERVER.REMOVE"),
    *(b"to.0.log.0run.1", b"to.0.human-developer.0run.1", b"timer.x", b"due.x", b"blob.x.y.0"),
    *(b"$KV.parked.T1", b"$KV.questions.developer.T1.q1", b"$KV.runs.T1.r1", b"$KV.blocked.r1"),
    *(b"developer.question.T1", b"developer.receipt.T1", b"developer.response.T1"),
    *(b"developer.response.T1.bob", b"developer.response.T1.boss", b"dead.x"),
    *(b"layby.do.purge.boss", b"layby.done.boss.1", b"layby.cancel.x", b"events.x"),
    *(b"_INBOX_worker.x", EVENT.encode()),
]
"""Where no outsider's answer may be sent to."""


async def counts(house: House) -> dict[str, int]:
    """How many messages each stream ever had."""
    async with opened(house.settings("provisioner")) as bus:
        names: list[str] = (await bus.requests.api("STREAM.NAMES", {})).get("streams") or []
        # The account of the trail has no list.
        infos = [await bus.requests.api(f"STREAM.INFO.{name}") for name in {*names, "AUDIT"}]
    return {each["config"]["name"]: each["state"]["last_seq"] for each in infos}


async def ask(raw: Raw, requests: list[tuple[bytes, bytes]]) -> None:
    """Send each request with each target as its reply subject, and see that it was let through."""
    for subject, body in requests:
        for target in TARGETS:
            raw.publish(subject, body, reply=target)
    assert await raw.sent() == []


@pytest.mark.parametrize("login", REQUESTS)
async def test_no_answer_to_an_outsider_lands_inside(walled: House, login: str) -> None:
    """Every request that a login may make, with every subject of Layby's as its reply subject."""
    async with walled.working():
        run = await walled.question("T1")
        before = await counts(walled)
        async with walled.raw(login) as raw:
            raw.subscribe(b"_INBOX_%b.>" % login.encode())
            await ask(raw, REQUESTS[login])
            # The server has gone through all of them once it answers the last.
            raw.publish(*REQUESTS[login][0], reply=b"_INBOX_%b.last" % login.encode())
            await raw.received()
        own = {
            "ada": {"ANSWERS": 2 * len(TARGETS), "QUESTIONS": 2 * len(TARGETS)},
            "helpdesk": {},
            "observer": {},
            "operator": {"AUDIT": 2 * len(TARGETS)},
        }[login]
        if login == "helpdesk":
            return_to = await walled.listed("T9")
            assert return_to

        async def settled() -> bool:
            after = await counts(walled)
            return all(after[name] >= before[name] + count for name, count in own.items())

        await until(settled, WITHIN)
        after = await counts(walled)
        if login != "helpdesk":  # whose events start runs, as they should
            assert after == {name: seq + own.get(name, 0) for name, seq in before.items()}
        assert after.keys() == before.keys()
        await goes_on(walled, run)


async def test_between_people_a_reply_reaches_no_stream(walled: House) -> None:
    """Those who answer share an account: what is sent to another's subject stays in it."""
    async with walled.working(), walled.raw("bob") as bob:
        run = await walled.question("T1")
        bob.subscribe(b"developer.receipt.T1")
        assert await bob.sent() == []
        async with walled.raw("ada") as ada:
            ada.publish(NOSUCH, reply=b"developer.receipt.T1")
            ada.publish(NOSUCH, reply=b"developer.response.T1.bob")
            assert await ada.sent() == []
        await bob.received()  # it is heard, and says nothing
        assert [body for *_, body in bob.messages] == [b""]
        assert not await held(walled, "QUESTIONS", "developer.receipt.T1")
        assert not await held(walled, "ANSWERS", "developer.response.>")
        async with walled.client("bob") as client:
            assert (await client.answer("T1", "yes", responder="bob", timeout=WITHIN)).by == "bob"
        assert json.loads((await bob.received(2))[1][3])["outcome"] == "accepted"
        assert (await walled.ended(run)).result == "bob: yes"
