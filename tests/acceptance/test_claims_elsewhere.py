"""Claims, passes and declines beside rotas, keys, prefixes, encryption, and earlier checkouts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from layby import App, Keyring, Role, Rung
from layby.actors.people.rota import Window
from layby.actors.people.rota_book import RotaBook
from layby.bus.bucket import Bucket
from layby.bus.layout import streams
from layby.bus.reading import every
from layby.bus.specs import Topology
from layby.bus.topology import Provisioner
from layby.client import Client
from layby.operations.provisioning import provision
from layby.runtime import entry, envelope
from layby.runtime.act_records import ClaimedQuestion, Declined, Passed
from layby.runtime.entry import Record
from layby.runtime.opened_records import OpenedQuestion
from layby.runtime.state import FORM_WITH_ACTS
from layby.testing import MemoryChannel
from layby.worker.worker import working
from tests.acceptance.test_claims import asking, published, said, shown
from tests.acceptance.test_encryption import keyring
from tests.engine import WITHIN, Engine, app_of, until
from tests.fix_bus import Bus
from tests.signing_desk import ADA

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]


def always(person: str, delegate: str = "") -> Window:
    return Window(
        person=person, start="2020-01-01T00:00", end="2099-01-01T00:00", delegate=delegate
    )


# -- rotas and keys ----------------------------------------------------------------------------


async def test_the_person_on_duty_is_told_of_a_question_passed_to_their_role(
    engine: Engine,
) -> None:
    app = asking("developer", Role("lead", rota="leads"))
    await provision(app, engine.settings)
    await RotaBook(engine.wire).change_shifts("leads", lambda _: (always("cto"),))
    await RotaBook(engine.wire).change_absences(lambda _: (always("cto", "dan"),))
    async with engine.works(app):
        run = await engine.start()
        await engine.question()
        receipt = await said(engine, "developer.pass.T1.ada", b"role:lead")
        assert receipt.outcome == "recorded"
        [message] = await shown(engine, 1, "lead")
        assert message.headers["Layby-Told"] == "dan", "who stands in for the cto"
        line = await engine.told(run, "question.passed")
        assert line.detail == "dan for cto"


async def test_a_pass_to_a_role_with_nobody_on_duty_is_still_published(
    engine: Engine,
) -> None:
    app = asking("developer", Role("lead", rota="leads"))
    await provision(app, engine.settings)
    async with engine.works(app):
        await engine.start()
        await engine.question()
        await said(engine, "developer.pass.T1.ada", b"role:lead")
        [message] = await shown(engine, 1, "lead")
        assert msgspec.json.decode(message.data)["rung"]["nobody"] is True


async def test_a_role_with_keys_is_claimed_but_not_passed_to_another_role(engine: Engine) -> None:
    async with engine.works(asking(Role("developer", keys={"ada": ADA.public}), "lead")):
        await engine.start()
        await engine.question()
        assert (await said(engine, "developer.claim.T1.ada")).outcome == "recorded"
        refused = await said(engine, "developer.pass.T1.ada", b"role:lead")
        assert refused.outcome == "invalid"
        assert "signed answers only" in str(refused.reason)
        assert await published(engine, "lead") == []
        person = await said(engine, "developer.pass.T1.ada", b"person:bob")
        assert person.outcome == "recorded"


async def test_the_people_of_a_role_with_keys_can_all_decline(engine: Engine) -> None:
    developer = Role("developer", keys={"ada": ADA.public}, escalate=[Rung("2h", to="person:cto")])
    async with engine.works(asking(developer)):
        run = await engine.start()
        await engine.question()
        await said(engine, "developer.decline.T1.ada")
        [ladder] = (await engine.state(run)).ladders.values()
        assert ladder.rungs[0].early


# -- groups ------------------------------------------------------------------------------------


async def test_people_of_all_groups_must_have_declined(engine: Engine) -> None:
    roles = [
        Role("developer", people=["ada"], escalate=[Rung("2h", to="person:cto")]),
        Role("legal", people=["dan", "eve"]),
    ]
    groups = {"developer": 1, "legal": 1}
    async with engine.works(asking(*roles, answer=bool, groups=groups, exclude=["eve"])):
        run = await engine.start()
        await engine.question()
        await said(engine, "developer.decline.T1.ada")
        [ladder] = (await engine.state(run)).ladders.values()
        assert not ladder.rungs[0].reached, "dan of legal is left"
        assert (await said(engine, "legal.decline.T1.dan")).outcome == "recorded"
        [ladder] = (await engine.state(run)).ladders.values()
        assert ladder.rungs[0].early, "eve has no vote"


# -- prefixes ----------------------------------------------------------------------------------


async def test_an_app_with_a_prefix_has_its_own_claims(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Any) -> str:
        del event
        return str((await step.ask("developer", "Known?")).text)

    app = app_of(handle, on="corp.opened", prefix="shop")
    async with (
        working(app, engine.settings, listed_after=0.02),
        Client.connect(engine.settings, prefix="shop") as client,
    ):
        await client.send("corp.opened", {"ticket": "T1"})

        async def asked() -> Any:
            return await client.questions()

        await until(asked)
        receipt = await client.claim("T1", by="ada", timeout=WITHIN)
        assert receipt.outcome == "recorded"
        stored = every(engine.wire, "SHOP_ANSWERS", "shop.developer.claim.>")
        subjects = [message.headers["Nats-Subject"] async for message in stored]
        assert subjects == ["shop.developer.claim.T1.ada"]


# -- encryption --------------------------------------------------------------------------------


@pytest.fixture
def ring() -> Keyring:
    return keyring()


@pytest.fixture
async def sealed(clean_nats: str, ring: Keyring) -> AsyncIterator[Engine]:
    async with Engine.at(clean_nats, ring) as engine:
        yield engine


def confidential(ring: Keyring) -> App:
    async def handle(event: dict[str, Any], step: Any) -> str:
        del event
        return str((await step.ask("developer", "zq7canary?", confidential=True)).text)

    return app_of(handle, roles=["developer", "lead"], encryption=ring)


async def test_a_confidential_question_stays_confidential_when_passed_on(
    sealed: Engine, ring: Keyring
) -> None:
    async with sealed.works(confidential(ring)):
        run = await sealed.start()
        await sealed.question()
        assert (await said(sealed, "developer.claim.T1.ada")).outcome == "recorded"
        assert (await said(sealed, "developer.pass.T1.ada", b"role:lead")).outcome == "recorded"
        [message] = await shown(sealed, 1, "lead")
        assert b"zq7canary" not in message.data
        for bucket in ("questions", "parked"):
            stored = every(sealed.wire, f"KV_{bucket}", f"$KV.{bucket}.>")
            assert not [each async for each in stored if b"zq7canary" in each.data]
        [row] = await sealed.client.questions("lead")
        assert "zq7canary" in row.question
        assert row.declined == ["ada"]
        assert (await sealed.answer(role="lead", responder="cto")).outcome == "accepted"
        assert await sealed.result(run) == "yes"


# -- earlier checkouts -------------------------------------------------------------------------


async def test_the_stream_of_an_earlier_checkout_gets_the_subjects(bus: Bus) -> None:
    for spec in streams(["desk.opened"], ["developer"]):
        subjects = tuple(each for each in spec.subjects if each.count(".") and _is_old(each))
        old = msgspec.structs.replace(spec, subjects=subjects)
        await Provisioner(bus.requests).ensure(Topology(streams=(old,), consumers=()))
    changes = await Provisioner(bus.requests).ensure(asking().topology())
    assert any("ANSWERS" in each and "developer.claim.>" in each for each in changes), changes
    assert "created consumer acts-developer on ANSWERS" in changes
    ack = await bus.requests.store("developer.claim.T1.ada", b"")
    assert ack.stream == "ANSWERS"


def _is_old(subject: str) -> bool:
    return not any(f".{verb}." in subject for verb in ("claim", "pass", "decline", "opened"))


def test_a_worker_of_an_earlier_checkout_leaves_such_a_log_to_later_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It can read none of the records, and knows that a later release wrote them."""
    new = {ClaimedQuestion, Passed, Declined, OpenedQuestion}
    earlier = [each for each in Record.__args__ if each not in new]
    monkeypatch.setattr(envelope, "_KINDS", {each.__struct_config__.tag for each in earlier})
    union: Any = earlier[0]
    for each in earlier[1:]:
        union = union | each
    of: Any = list
    old: Any = msgspec.json.Decoder(of[union])
    common: dict[str, Any] = {"id": "q1", "by": "ada", "at": 1.0, "seq": 1, "vouched": "nats"}
    records: list[Record] = [
        ClaimedQuestion(**common, until=2.0),
        Passed(**common, rung=0, to="role:lead"),
        Declined(**common),
        OpenedQuestion(**common),
    ]
    for record in records:
        made = envelope.Envelope(op="1", at=1.0, records=[record, entry.Expired(id="q1")])
        data = envelope.encode(made)
        assert envelope.is_newer(data)
        with pytest.raises(msgspec.ValidationError):
            old.decode(msgspec.json.encode(msgspec.json.decode(data)["records"]))


async def test_a_worker_that_begins_with_the_parked_state_knows_what_was_said(
    engine: Engine,
) -> None:
    app = asking()
    async with engine.works(app):
        run = await engine.start()
        await engine.question()
        first = await said(engine, "developer.claim.T1.ada")
    item = await Bucket(engine.wire, "parked").get("T1")
    assert item is not None
    assert msgspec.json.decode(item.value)["runs"][run]["form"] == FORM_WITH_ACTS
    async with engine.works(app):
        second = await said(engine, "developer.claim.T1.bob")
        assert (second.outcome, second.until) == ("already_claimed", first.until)


# -- channels ----------------------------------------------------------------------------------


async def test_the_card_says_who_is_on_it_and_a_pass_is_a_card_for_the_other_role(
    engine: Engine,
) -> None:
    room, leads = MemoryChannel("room"), MemoryChannel("leads")
    roles = [Role("developer", channels=[room]), Role("lead", channels=[leads])]
    async with engine.works(asking(*roles)):
        run = await engine.start()
        await engine.question()

        async def sent() -> bool:
            return bool((await engine.state(run)).cards)

        await until(sent)
        await said(engine, "developer.claim.T1.ada")

        async def claimed() -> bool:
            return any(card.claimed_by == "ada" for card in room.shown.values())

        await until(claimed)
        await said(engine, "developer.pass.T1.ada", b"role:lead")

        async def passed() -> bool:
            return any(card.kind == "escalation" for card in leads.shown.values())

        await until(passed)

        async def released() -> bool:
            return not any(card.claimed_by for card in room.shown.values())

        await until(released)
