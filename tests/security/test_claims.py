"""Claims, passes and declines: nobody makes one in another's name, and none stops anybody else."""

from __future__ import annotations

import pytest

from layby.runtime.act_records import VERBS
from layby.runtime.opened_records import OPENED
from layby.runtime.vouched import VIA
from tests.engine import until
from tests.security.house import WITHIN, House
from tests.security.test_reply_subjects import goes_on, held

pytestmark = pytest.mark.nats

OTHERS = ("helpdesk", "observer", "operator", "worker", "provisioner", "slackbot")


def stolen(*names: str) -> list[bytes]:
    """What is said in these names."""
    return [
        f"developer.{verb}.T1{name}".encode()
        for verb in (*VERBS, OPENED)
        for name in (*(f".{each}" for each in names), "")
    ]


async def refused(house: House, login: str, subjects: list[bytes]) -> None:
    """The server refuses each of them, and stores none."""
    before = await held(house, "ANSWERS", "developer.*.T1.>")
    async with house.raw(login) as raw:
        for subject in subjects:
            raw.publish(subject, b'{"to": "role:developer", "minutes": 30}')
        errors = await raw.sent()
        assert len([e for e in errors if "Permissions Violation" in e]) == len(subjects), errors
    assert await held(house, "ANSWERS", "developer.*.T1.>") == before


@pytest.mark.parametrize("login", OTHERS)
async def test_a_person_without_a_role_claims_nothing(house: House, login: str) -> None:
    async with house.working():
        await house.question("T1")
        await refused(house, login, stolen("ada", "bob", login))


async def test_nobody_claims_in_the_name_of_somebody_else(house: House) -> None:
    async with house.working():
        await house.question("T1")
        vouched = [f"ada.via-{via}" for via in VIA]
        await refused(house, "ada", stolen("bob", "*", "ada.bob", *vouched))


async def test_everybody_claims_in_their_own_name_and_a_bridge_in_that_of_its_people(
    house: House,
) -> None:
    async with house.working():
        await house.question("T1")
        async with house.client("ada") as client, house.raw("slackbot") as raw:
            receipt = await client.claim("T1", by="ada", timeout=WITHIN)
            assert (receipt.outcome, receipt.by) == ("recorded", "ada")
            raw.publish(b"developer.decline.T1.bob.via-slack", b"")
            assert not await raw.sent()

            async def declined() -> list[str]:
                return (await client.questions())[0].declined

            assert await until(declined) == ["bob"]
            [row] = await client.questions()
            assert row.claim is not None
            assert row.claim.by == "ada"


async def test_hostile_bytes_there_keep_nobody_from_claiming(house: House) -> None:
    async with house.working():
        await house.question("T1")
        async with house.raw("ada") as raw:
            for verb in (*VERBS, OPENED):
                for token in (b"T1", b"=2e", b"=FF", b"x" * 300, b"\xff\xfe", "é".encode()):
                    for body in (b"", b"\xff", b"{" * 10_000, b'{"to": "role:\x00"}', b"null"):
                        raw.publish(b"developer.%b.%b.ada" % (verb.encode(), token), body)
            await raw.sent()
        async with house.client("ada") as client:
            receipt = await client.claim("T1", by="ada", minutes=60, timeout=WITHIN)
            assert receipt.outcome == "recorded"


async def test_a_flood_of_them_on_one_ticket_stops_no_other(walled: House) -> None:
    async with walled.working():
        await walled.question("T1")
        run = await walled.question("T2")
        async with walled.raw("ada") as raw:
            for verb in (*VERBS, OPENED):
                for number in range(500):
                    body = b'{"to": "person:bob", "text": "%d%b"}' % (number, b"?" * 1_900)
                    raw.publish(b"developer.%b.T1.ada" % verb.encode(), body)
            await raw.sent()
        await goes_on(walled, run, "T2")
