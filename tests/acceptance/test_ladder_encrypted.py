"""Ladders of encrypted runs, of erased ones, and before a worker of an earlier checkout."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from layby import App, Keyring, Role, Rung
from layby.bus.reading import every
from layby.runtime import entry, envelope
from layby.runtime.entry import Record
from layby.runtime.ladder_records import Laddered, Reached
from tests.acceptance.test_encryption import keyring, store_of
from tests.engine import Engine, app_of, is_handled, until

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

CANARY = "zq7canary"
ROLES = [Role("developer", remind=["200ms"], escalate=[Rung("300ms", to="role:lead")]), "lead"]


@pytest.fixture
def ring() -> Keyring:
    return keyring()


@pytest.fixture
async def engine(clean_nats: str, ring: Keyring) -> AsyncIterator[Engine]:
    """Who looks on holds the keys."""
    async with Engine.at(clean_nats, ring) as engine:
        yield engine


def asking(ring: Keyring | None, **options: Any) -> App:
    """An app whose run asks something that nobody else may read."""

    async def handle(event: dict[str, Any], step: Any) -> str:
        del event
        answer = await step.ask("developer", f"Known? {CANARY}", confidential=ring is not None)
        return str(answer.text)

    return app_of(handle, roles=ROLES, encryption=ring, **options)


async def published(engine: Engine) -> list[tuple[str, bytes]]:
    return [
        (message.headers["Nats-Subject"], message.data)
        async for message in every(engine.wire, "QUESTIONS", "*.question.T1")
    ]


async def test_a_republished_question_is_as_secret_as_before(engine: Engine, ring: Keyring) -> None:
    async with engine.works(asking(ring)):
        run = await engine.start()

        async def all_there() -> list[tuple[str, bytes]]:
            found = await published(engine)
            return found if len(found) == 3 else []

        found = await until(all_there)
        assert sorted(subject.partition(".")[0] for subject, _ in found) == [
            "developer",
            "developer",
            "lead",
        ]
        assert not any(CANARY.encode() in data for _, data in found)

        async def listed() -> Any:
            rows = await engine.client.questions("lead")
            return rows[0] if rows and rows[0].ladder[-1].reached else None

        row = await until(listed)
        assert CANARY in row.question
        for bucket in ("questions", "parked"):
            stored = every(engine.wire, f"KV_{bucket}", f"$KV.{bucket}.>")
            assert not [m async for m in stored if CANARY.encode() in m.data]
        assert (await engine.answer(role="lead", responder="cto")).outcome == "accepted"
        assert await engine.result(run) == "yes"


async def test_a_rung_of_an_erased_run_does_nothing(engine: Engine, ring: Keyring) -> None:
    app = asking(ring)
    async with engine.works(app):
        run = await engine.start()
        await engine.question()
    key = await engine.wire.vault.key_name(run) if engine.wire.vault else None
    assert key is not None
    await store_of(engine).destroy(key.record, [key.slot])
    before = await fired(engine)
    async with engine.works(app):
        await until(lambda: is_handled(engine.wire, "TIMERS.rungs"))
        assert len(await published(engine)) == before
        assert [m async for m in every(engine.wire, "DEAD", ">")] == []
        assert await engine.client.questions() == []
    assert [row.status for row in await engine.client.runs(ticket="T1")] == ["erased"]


async def fired(engine: Engine) -> int:
    """How much was published, once all rungs are due and nobody has taken them."""

    async def look() -> bool:
        info = await engine.wire.api("STREAM.INFO.TIMERS", {"subjects_filter": ">"})
        subjects: dict[str, int] = info["state"].get("subjects") or {}
        return not any(name.count(".") > 1 and name.startswith("timer.") for name in subjects)

    await until(look)
    return len(await published(engine))


def test_a_worker_of_an_earlier_checkout_leaves_such_a_log_to_later_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It can read neither record, and knows that a later release wrote them."""
    earlier = [each for each in Record.__args__ if each not in {Laddered, Reached}]
    kinds = {each.__struct_config__.tag for each in earlier}
    monkeypatch.setattr(envelope, "_KINDS", kinds)
    union: Any = earlier[0]
    for each in earlier[1:]:
        union = union | each
    of: Any = list
    old: Any = msgspec.json.Decoder(of[union])
    for record in (Laddered(id="q1"), Reached(id="q1", rung=0)):
        entry_ = envelope.Envelope(op="1", at=1.0, records=[record, entry.Expired(id="q1")])
        data = envelope.encode(entry_)
        assert envelope.is_newer(data)
        with pytest.raises(msgspec.ValidationError):
            old.decode(msgspec.json.encode(msgspec.json.decode(data)["records"]))
