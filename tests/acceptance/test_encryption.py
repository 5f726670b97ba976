"""What is encrypted at rest: nothing of it can be read in a stream without a key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from layby import Agent, App, Keyring, Network, Step, ToolContext, tool
from layby.actors.models.model import ModelRequest, ModelResponse, ToolResult
from layby.bus.errors import Erased, KeyMissing
from layby.bus.keyring import new_key
from layby.bus.log_subject import subject
from layby.bus.reading import every
from layby.bus.requests import Requests
from layby.bus.sealing import MARK, key_of
from layby.bus.secret_store import SecretStore
from layby.bus.server import EmbeddedServer
from layby.bus.threads import ThreadLog
from layby.bus.vault import Vault
from layby.history import nats_history
from layby.testing import running
from layby.views.rows import RunDetail
from tests.engine import ON, WORKFLOW, Engine, once, until
from tests.scripted import Scripted, calls, says

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

CANARY = "zq7canary"
PLAIN = {"EVENTS", "QUESTIONS", "ANSWERS", "DEAD"}
"""Streams that people read and write with the nats CLI alone."""


def keyring(*ids: str) -> Keyring:
    return Keyring(dict(new_key(each).split(":", 1) for each in ids or ("k1",)))


@pytest.fixture
def ring() -> Keyring:
    return keyring()


@pytest.fixture
async def engine(clean_nats: str, ring: Keyring) -> AsyncIterator[Engine]:
    """Who looks on holds the keys."""
    async with Engine.at(clean_nats, ring) as engine:
        yield engine


@pytest.fixture
async def stranger(clean_nats: str) -> AsyncIterator[Engine]:
    """Who looks on without a key."""
    async with Engine.at(clean_nats) as engine:
        yield engine


async def stored(wire: Requests) -> dict[str, list[tuple[str, bytes]]]:
    """Every message of every stream, with its headers and subject."""
    names: list[str] = (await wire.api("STREAM.NAMES", {})).get("streams") or []
    found: dict[str, list[tuple[str, bytes]]] = {}
    for name in names:
        found[name] = [
            (message.headers["Nats-Subject"], message.data + str(message.headers).encode())
            async for message in every(wire, name, ">")
        ]
    return found


async def leaks(wire: Requests, canary: str = CANARY) -> set[str]:
    """Where the canary can be read, beside the streams that are plain by nature."""
    return {
        f"{stream}: {subject}"
        for stream, messages in (await stored(wire)).items()
        for subject, data in messages
        if stream not in PLAIN and canary.encode() in data
    }


@tool
async def look_up(what: str, ctx: ToolContext[Any]) -> str:
    """Look something up."""
    ctx.state["note"] = f"state {CANARY} {what}"
    return f"output {CANARY} " + "x" * 70_000


@tool
async def break_down(what: str) -> str:
    """Raise."""
    raise RuntimeError(f"exception {CANARY} {what}")


def telling(ring: Keyring | None, subject: str = "") -> App:
    """An app that has the canary in everything."""

    def speak(request: ModelRequest) -> ModelResponse:
        if any(isinstance(part, ToolResult) for m in request.messages for part in m.parts):
            return says(f"answer {CANARY}")
        return calls(
            ("look_up", {"what": f"input {CANARY}"}),
            ("break_down", {"what": CANARY}),
            text=f"thought {CANARY}",
        )

    agent = Agent("Clerk", tools=[look_up, break_down])
    desk = Network("desk", agents=[agent], default_model=Scripted(speak), router=once)

    async def handle(event: dict[str, Any], step: Step) -> dict[str, Any]:
        await step.run("memo", lambda: f"memo {CANARY}")
        found = await step.network(
            desk, f"{event['text']}", thread=f"T-{event['ticket']}", state={}
        )
        said = await step.ask("developer", "Which one?", context="Nothing secret.")
        child = await step.workflow("child", {"ticket": "T1", "text": f"child {CANARY}"})
        if event.get("fails"):
            raise ValueError(f"failed {CANARY}")
        return {"said": said.text, "text": found.text, "child": child, "big": "y" * 70_000}

    app = App("desk", networks=[desk], history=nats_history(), encryption=ring)
    app.workflow(on=ON, key="ticket", name=WORKFLOW, subject=subject)(handle)

    @app.workflow(on="desk.child", key="ticket", name="child")
    async def child(event: dict[str, Any], step: Step) -> str:
        await step.sleep(0.01)
        return f"{event['text']} is done"

    return app


async def test_nothing_can_be_read_without_a_key(engine: Engine, ring: Keyring) -> None:
    async with engine.works(telling(ring)):
        run = await engine.start(text=f"text {CANARY}")
        await engine.question(run=run)

        async def listed() -> bool:
            return bool(await engine.client.runs(ticket="T1"))

        await until(listed)
        assert await leaks(engine.wire) == set()
        await engine.answer("T1", f"said {CANARY}")
        result = await engine.result(run)
    assert result["said"] == f"said {CANARY}"
    assert result["text"] == f"answer {CANARY}"
    assert result["child"] == f"child {CANARY} is done"
    assert await leaks(engine.wire) == set()


async def test_the_files_of_the_server_hold_nothing_of_it(
    own_server: EmbeddedServer, ring: Keyring
) -> None:
    async with Engine.at(own_server.url, ring) as engine, engine.works(telling(ring)):
        run = await engine.start(text=f"text {CANARY}")
        await engine.question(run=run)
        await engine.answer("T1", f"said {CANARY}")
        await engine.result(run)
    await own_server.stop()
    files = {path for path in own_server.data.rglob("*") if path.is_file()}
    held = {_stream_of(path) for path in files if CANARY.encode() in path.read_bytes()}
    assert held == {"EVENTS", "ANSWERS"}  # plain by nature, and so the search finds something
    assert {"RUNS", "BLOBS", "THREADS", "KV_runs", "KV_parked"} <= set(map(_stream_of, files))


def _stream_of(path: Path) -> str:
    """The stream that a file of the server's store belongs to, else the file's name."""
    parts = path.parts
    return parts[parts.index("streams") + 1] if "streams" in parts[:-1] else path.name


async def test_a_plain_app_leaks_everywhere_else_the_canary_would_prove_nothing(
    engine: Engine, stranger: Engine
) -> None:
    async with stranger.works(telling(None)):
        run = await stranger.start(text=f"text {CANARY}")
        await stranger.question(run=run)
        await stranger.answer("T1", f"said {CANARY}")
        await stranger.result(run)
    found = {each.partition(":")[0] for each in await leaks(engine.wire)}
    assert {"RUNS", "THREADS", "BLOBS"} <= found


async def test_failures_are_encrypted_too_and_shown_to_holders_of_the_key(
    engine: Engine, ring: Keyring, stranger: Engine
) -> None:
    async with engine.works(telling(ring)):
        run = await engine.start(text="t", fails=True)
        await engine.question(run=run)
        await engine.answer("T1", "x")
        assert (await engine.ended(run)).status == "failed"

        async def failed() -> bool:
            return [row.status for row in await engine.client.runs(status="failed")] == ["failed"]

        await until(failed)
    assert await leaks(engine.wire) == set()
    [row] = await engine.client.runs(status="failed", text=CANARY)
    assert CANARY in row.reason
    [row] = await stranger.client.runs(status="failed")
    assert row.reason == "(encrypted)"
    assert await stranger.client.runs(status="failed", text=CANARY) == []


@pytest.mark.slow
async def test_a_worker_without_the_key_leaves_the_run_to_one_that_has_it(
    engine: Engine, ring: Keyring, stranger: Engine
) -> None:
    async with engine.works(telling(ring)):
        run = await engine.start(text=f"text {CANARY}")
        await engine.question(run=run)
    async with stranger.works(telling(None)):
        await engine.drop("later")
        async with engine.works(telling(ring)):
            assert (await engine.result(run))["said"] == "later"
    dead = [message async for message in every(engine.wire, "DEAD", ">")]
    assert dead == []


async def test_a_run_that_began_plain_goes_on_plain(
    engine: Engine, ring: Keyring, stranger: Engine
) -> None:
    async with stranger.works(telling(None)):
        run = await stranger.start(text="t")
        await stranger.question(run=run)
    async with engine.works(telling(ring)):
        await engine.answer("T1", "yes")
        assert (await engine.result(run))["said"] == "yes"
        assert (await stranger.state(run)).status == "completed"


async def test_a_worker_does_not_start_without_a_key_that_data_is_under(engine: Engine) -> None:
    old = keyring("k1")
    async with engine.works(telling(old)):
        pass
    with pytest.raises(KeyMissing, match="'k1', which the keyring does not hold"):
        async with engine.works(telling(keyring("k2"))):
            pass
    with pytest.raises(KeyMissing, match="two keys have the same id"):
        async with engine.works(telling(keyring("k1"))):
            pass


async def test_the_test_kit_reads_what_an_app_encrypts(clean_nats: str, ring: Keyring) -> None:
    async with running(telling(ring), url=clean_nats) as rt:
        run = await rt.send(ON, {"ticket": "T1", "text": "t"})
        await rt.answer("T1", "yes")
        assert (await rt.result(run))["said"] == "yes"
        assert (await rt.record(run)).messages[0].entry["records"][0]["ticket"] == "T1"


async def test_an_entry_sealed_with_a_key_that_never_existed_stops_no_thread(
    clean_nats: str, ring: Keyring
) -> None:
    async with Engine.at(clean_nats, ring) as engine, engine.works(telling(ring)):
        run = await engine.start(text="hello")
        await engine.question(run=run)
        thread = ThreadLog(engine.wire)
        before = await thread.load("T-T1")
        assert before
        own = key_of(await latest(engine, "THREADS", "layby.thread.T-T1.*"))
        others = key_of(await latest(engine, "RUNS", f"to.*.*.{run}.1"))
        for number, name in enumerate(
            [
                *("t-1/1", "b-1/0", "t-1/1/p-1/1", f"{others.record}/-200", f"{own.record}/-1"),
                *(f"{own.record}/999", f"{own.record}/{own.slot}/p-1/1"),
                f"{own.record}/{own.slot}/{others.record}/0",
            ]
        ):
            rubbish = MARK + bytes([len(name)]) + name.encode() + b"x" * 40
            await engine.wire.store(f"layby.thread.T-T1.rubbish{number}", rubbish)
        # What does not even name a key is passed on as it is, and read as no entry.
        assert [e for e in await thread.load("T-T1") if not e.startswith(MARK)] == before
        again = await engine.start(text="again")
        await engine.question(run=again)
        await engine.answer("T1", "yes", question_id=(await engine.question(run=again)).id)
        assert (await engine.result(again))["said"] == "yes"


async def latest(engine: Engine, stream: str, subjects: str) -> bytes:
    return [message.data async for message in every(engine.wire, stream, subjects)][-1]


@pytest.mark.slow
async def test_mail_sealed_with_a_key_that_never_existed_becomes_a_dead_letter(
    clean_nats: str, ring: Keyring
) -> None:
    run = "0123456789abcdef0123"
    rubbish = MARK + bytes([len(b"b-1/0")]) + b"b-1/0" + b"x" * 40
    async with Engine.at(clean_nats, ring) as engine, engine.works(telling(ring)):
        await engine.wire.store(subject(f"workflow-{WORKFLOW}", run, 1), rubbish)

        async def letters() -> list[str]:
            return [letter.reason for letter in await engine.client.dead()]

        assert "bucket keys has no record b-1" in (await until(letters))[0]


async def test_keys_are_rotated_while_runs_are_parked(engine: Engine, clean_nats: str) -> None:
    old, new = (dict([new_key(each).split(":", 1)]) for each in ("k1", "k2"))
    async with engine.works(telling(Keyring(old))):
        run = await engine.start(text=f"text {CANARY}")
        await engine.question(run=run)
    both = Keyring(new | old)
    async with Engine.at(clean_nats, both) as wide, wide.works(telling(both)):
        store = store_of(wide)
        fresh = await wide.start("T2", text="under the new one")
        await wide.question(run=fresh)
        assert set(await store.wrapped_by()) == {"k1", "k2"}
        done = await store.rotate()
        assert (done.primary, done.left) == ("k2", {})
        assert done.rewrapped > 0
        assert set(await store.wrapped_by()) == {"k2"}
        assert (await store.rotate()).rewrapped == 0
    only = Keyring(new)
    async with Engine.at(clean_nats, only) as narrow, narrow.works(telling(only)):
        for ticket, each in (("T1", run), ("T2", fresh)):
            await narrow.answer(ticket, "yes")
            assert (await narrow.result(each))["said"] == "yes"
    with pytest.raises(KeyMissing, match="'k2', which the keyring does not hold"):
        async with engine.works(telling(Keyring(old))):
            pass


async def test_a_rotation_without_the_old_key_is_refused_and_changes_nothing(
    engine: Engine, clean_nats: str
) -> None:
    old = dict([new_key("k1").split(":", 1)])
    async with engine.works(telling(Keyring(old))):
        pass
    async with Engine.at(clean_nats, keyring("k2")) as other:
        with pytest.raises(KeyMissing, match="'k1', which the keyring does not hold"):
            await store_of(other).rotate()
    async with engine.works(telling(Keyring(old))):
        pass  # no worker with the old key alone is asked for the new one


def store_of(engine: Engine) -> SecretStore:
    assert isinstance(engine.wire.vault, Vault)
    return engine.wire.vault.secrets


async def test_without_the_key_people_see_that_a_run_exists_and_nothing_in_it(
    engine: Engine, ring: Keyring, stranger: Engine
) -> None:
    async with engine.works(telling(ring)):
        run = await engine.start(text=f"text {CANARY}")
        await engine.question(run=run)
        found = await until(lambda: stranger.client.runs(ticket="T1"))
        assert [row.id for row in found] == [run]

        async def shown() -> RunDetail | None:
            detail = await stranger.client.show(run)
            return detail if detail.status == "waiting" else None

        detail = await until(shown)
    assert CANARY not in repr(detail)
    assert detail.error == detail.reason == "(encrypted)"
    assert {step.name for step in detail.steps} == {"(encrypted)"}
    assert "human-developer" in {step.actor for step in detail.steps}
    assert [step.n for step in detail.steps] == list(range(1, len(detail.steps) + 1))


async def test_a_persons_key_erases_their_runs_threads_and_big_values(
    engine: Engine, ring: Keyring, clean_nats: str
) -> None:
    app = telling(ring, subject="customer")
    async with engine.works(app) as worker:
        hers = await engine.start("T1", text=f"hers {CANARY}", customer="olga")
        his = await engine.start("T2", text="his", customer=7)
        await engine.questions(2)
        over = await engine.start("T3", text="hers, too", customer="olga")
        await engine.question(run=over)
        await engine.answer("T3", "yes")
        await engine.result(over)
        record = await store_of(engine).person("olga")
        assert await engine.client.erase_person("desk", "olga", by="dpo") == 1
        async with Engine.at(clean_nats, ring) as looking:
            for run in (hers, over):
                with pytest.raises(Erased):
                    await looking.log.load(run)
                detail = await looking.client.show(run)
                assert detail.error == detail.reason == "(erased)"
        assert [row.ticket for row in await engine.client.questions()] == ["T2"]
        rows = {row.id: row.status for row in await engine.client.runs(ticket="T1")}
        assert rows[hers] == "erased"
        assert (await engine.answer("T1", "late")).outcome in {"unknown_ticket", "too_late"}
        await engine.answer("T2", "yes")
        assert (await engine.result(his))["said"] == "yes"

        async def forgotten() -> bool:
            return worker.host.cache.warm(hers) is None

        await until(forgotten)
        # A new event of the same person is under a new key.
        again = await engine.start("T4", text="again", customer="olga")
        await engine.question(run=again)
        await engine.answer("T4", "yes")
        assert (await engine.result(again))["said"] == "yes"
        assert await engine.client.erase_person("desk", "eve") == 0
        assert await engine.client.erase_run("desk", again)
        assert not await engine.client.erase_run("desk", again)
    async with Engine.at(clean_nats, ring) as looking:
        thread = ThreadLog(looking.wire)
        assert await thread.load("T-T1") == []
        assert len(await thread.load("T-T4")) == 2  # it is the thread's, and hers
        with pytest.raises(Erased):
            await looking.log.load(again)
        trail = [m.data async for m in every(looking.wire, "AUDIT", ">")]
        assert not any(b"olga" in each or b"eve" in each for each in trail)
    dead = [message async for message in every(engine.wire, "DEAD", ">")]
    assert dead == []
    assert len([m async for m in every(engine.wire, "KV_keys", f"$KV.keys.{record}")]) == 1


async def test_a_wake_up_of_an_erased_run_ends_it_in_the_lists(
    engine: Engine, ring: Keyring
) -> None:
    """Its key may be destroyed before any list has it."""
    app = telling(ring)

    @app.workflow(on="desk.nap", key="ticket", name="nap")
    async def nap(event: dict[str, Any], step: Step) -> None:
        del event
        await step.sleep(1.5)

    async with engine.works(app):
        run = await engine.start("T1", on="desk.nap", workflow="nap", event_id="e1")

        async def asleep() -> bool:
            return [row.status for row in await engine.client.runs()] == ["waiting"]

        await until(asleep)
        key = await engine.wire.vault.key_name(run) if engine.wire.vault else None
        assert key is not None
        await store_of(engine).destroy(key.record, [key.slot])
        await engine.wire.publish(f"layby.cancel.{key.record}")
        await engine.wire.publish(f"layby.cancel.{run}")

        async def erased() -> bool:
            return [row.status for row in await engine.client.runs()] == ["erased"]

        await until(erased)
        # The same event, sent again, starts nothing: its log is there, whoever can read it.
        await engine.start("T1", on="desk.nap", workflow="nap", event_id="e1")
        other = await engine.start("T5", on="desk.nap", workflow="nap")
        assert (await engine.ended(other)).status == "completed"
    assert [row.status for row in await engine.client.runs(ticket="T1")] == ["erased"]


async def test_an_event_that_does_not_say_whose_data_it_is_starts_nothing(
    engine: Engine, ring: Keyring
) -> None:
    async with engine.works(telling(ring, subject="customer.id")):
        await engine.start("T1", text="whose?")

        async def refused() -> bool:
            return [
                "'customer.id' must be" in row.reason for row in await engine.client.dead()
            ] == [True]

        await until(refused)
