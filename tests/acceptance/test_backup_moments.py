"""Streams are saved one after the other: what happens between two of them fits together later."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from layby import App, Step
from layby.actors.people.tickets import decode
from layby.bus import snapshot
from layby.bus.connection import ConnectionSettings
from layby.bus.errors import TopologyMismatch
from layby.bus.opened import opened
from layby.bus.reading import every
from layby.bus.requests import Requests
from layby.bus.server import EmbeddedServer
from layby.client import Client
from layby.operations.backing_up import back_up
from layby.operations.backup_folder import BackupFolder
from layby.operations.provisioning import provision
from layby.operations.restoring import RestoreBroken, restore
from layby.runtime.entry import Answered, Started
from layby.runtime.envelope import read
from layby.worker.worker import working
from tests.engine import until

pytestmark = [pytest.mark.nats, pytest.mark.timeout(120)]

WITHIN = 60.0
BIG = "x" * 100_000
"""A value that is kept beside the log."""


def shop() -> App:
    app = App("shop")

    @app.workflow(on="shop.opened", key="ticket")
    async def handle(_: dict[str, Any], step: Step) -> str:
        answer = await step.ask("developer", "Go on?", timeout="4h")
        big = await step.run("big", lambda: BIG + answer.text)
        return f"{answer.text} {len(big)}"

    return app


class Counter:
    """People at the counter of a shop: they open tickets, answer, and give commands."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._tickets = 0

    async def asked(self) -> tuple[str, str]:
        """A new ticket whose question is in its record, and its run."""
        self._tickets += 1
        ticket = f"T{self._tickets}"
        await self._client.send("shop.opened", {"ticket": ticket})

        async def look() -> str:
            return "".join(each.run for each in await self._client.asked(ticket))

        return ticket, await until(look, WITHIN)

    async def listed(self) -> None:
        """A new ticket whose question is in the list of all."""
        ticket, _ = await self.asked()
        await until(lambda: self._client.questions(ticket=ticket), WITHIN)

    async def all_of_it(self, stream: str) -> None:
        """One ticket that is answered and ends, one that is cancelled, and one that waits."""
        ticket, run = await self.asked()
        assert (await self._client.answer(ticket, "yes", timeout=WITHIN)).outcome == "accepted"
        await self._client.run(run).ended()
        _, run = await self.asked()
        await self._client.cancel(run)
        if stream in {"", "KV_questions"}:
            await self.listed()
        else:
            await self.asked()


def between(monkeypatch: pytest.MonkeyPatch, happens: Callable[[str], Awaitable[None]]) -> None:
    """Let something happen before each stream is saved."""
    save = snapshot.save

    async def saving(connection: Any, requests: Any, stream: str, *rest: Any) -> Any:
        await happens(stream)
        return await save(connection, requests, stream, *rest)

    monkeypatch.setattr(snapshot, "save", saving)


async def saved_at_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A backup during which everything happened between any two streams."""
    app = shop()
    async with EmbeddedServer(folder / "old") as old:
        here = ConnectionSettings(servers=(old.url,))
        await provision(app, here)
        async with working(app, here), Client.connect(here) as client:
            counter = Counter(client)
            await counter.all_of_it("")
            with monkeypatch.context() as patched:
                between(patched, counter.all_of_it)
                await back_up(here, folder / "saved")
    return folder / "saved"


async def last_seq(requests: Requests, stream: str) -> int:
    return int((await requests.api(f"STREAM.INFO.{stream}"))["state"]["last_seq"])


async def named_by_logs(requests: Requests) -> tuple[int, int]:
    """The highest sequences of events and of answers that logs name."""
    events = answers = 0
    async for message in every(requests, "RUNS", "to.>"):
        envelope = read(message.data)
        assert envelope is not None
        for record in envelope.records:
            if isinstance(record, Started):
                events = max(events, record.seq)
            if isinstance(record, Answered):
                answers = max(answers, record.seq)
    return events, answers


async def of_runs(requests: Requests, stream: str, subjects: str, word: int) -> set[str]:
    """The runs of which a stream has messages; `word`: where their ids are in the subjects."""
    return {
        message.headers["Nats-Subject"].split(".")[word]
        async for message in every(requests, stream, subjects)
    }


async def published(requests: Requests) -> set[str]:
    """The ids of the questions that were published."""
    return {
        msgspec.json.decode(message.data)["id"]
        async for message in every(requests, "QUESTIONS", "developer.question.*")
    }


async def recorded(requests: Requests) -> set[str]:
    """The ids of the questions that records of tickets name."""
    return {
        question.id
        async for message in every(requests, "KV_parked", "$KV.parked.>")
        if message.data
        for question in decode(message.data).questions
    }


async def test_what_is_restored_fits_together_before_any_worker_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = await saved_at_work(tmp_path, monkeypatch)
    async with EmbeddedServer(tmp_path / "new") as new:
        here = ConnectionSettings(servers=(new.url,))
        await restore(here, saved)
        async with opened(here) as bus, Client.connect(here) as client:
            requests = bus.requests
            events, answers = await named_by_logs(requests)
            assert events
            assert answers
            assert events <= await last_seq(requests, "EVENTS"), "no new event gets its sequence"
            assert answers <= await last_seq(requests, "ANSWERS"), "nor does a new answer"
            kept = await of_runs(requests, "BLOBS", "blob.>", 1)
            logs = await of_runs(requests, "RUNS", "to.>", 3)
            for row in await client.runs():
                assert row.id in logs, "no list is ahead of the logs"
                detail = await client.show(row.id)
                if row.status == "completed":
                    assert detail.status == "completed", "nor is a row"
                if detail.status == "completed":
                    assert detail.result == "yes 100003"
                    assert row.id in kept, "big values are there"
            listed = await client.questions()
            assert listed
            for each in listed:
                assert each.run in logs
                detail = await client.show(each.run)
                assert each.id in {asked.id for asked in detail.questions}, "its log has asked it"
            known = await recorded(requests)
            assert await published(requests) <= known, "no question lacks its record"
            done = [each for each in await client.audit() if each.outcome == "done"]
            assert done
            for command in done:
                assert command.run in logs, "nor is what was commanded"
                detail = await client.show(command.run)
                assert detail.status == "cancelled", "what is done is done"


class Morning:
    """An app whose event and answer are stored before anybody works, and what it has done."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.app = App("morning")

        @self.app.workflow(on="shop.opened", key="ticket")
        async def handle(event: dict[str, Any], step: Step) -> None:
            if event["ticket"] == "asks":
                await step.ask("developer", "Go on?", timeout="4h")
            await step.run("note", lambda: self.done.append(event["ticket"]))

    async def asks(self, here: ConnectionSettings) -> None:
        """Let a run wait for an answer; nobody works afterwards."""
        await provision(self.app, here)
        async with working(self.app, here), Client.connect(here) as client:
            await client.send("shop.opened", {"ticket": "asks"})
            await until(lambda: client.asked("asks"), WITHIN)

    async def works(self, here: ConnectionSettings) -> None:
        """Work until both runs have ended."""
        async with working(self.app, here), Client.connect(here) as client:

            async def look() -> bool:
                rows = await client.runs()
                return [row.status for row in rows] == ["completed"] * 2

            await until(look, WITHIN)


async def test_what_was_stored_before_and_handled_meanwhile_is_handled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    morning = Morning()
    async with EmbeddedServer(tmp_path / "old") as old:
        here = ConnectionSettings(servers=(old.url,))
        await morning.asks(here)
        async with opened(here) as bus:
            await bus.requests.store("shop.opened", b'{"ticket":"works"}')
            await bus.requests.store("developer.response.asks", b"yes")

        async def happens(stream: str) -> None:
            if stream == "ANSWERS":  # the logs are saved already
                await morning.works(here)

        with monkeypatch.context() as patched:
            between(patched, happens)
            await back_up(here, tmp_path / "saved")
    assert sorted(morning.done) == ["asks", "works"]
    async with EmbeddedServer(tmp_path / "new") as new:
        here = ConnectionSettings(servers=(new.url,))
        await restore(here, tmp_path / "saved")
        await morning.works(here)
    assert sorted(morning.done) == ["asks", "asks", "works", "works"]


async def test_a_stream_that_lacks_messages_does_not_count_as_restored(tmp_path: Path) -> None:
    app = shop()
    async with EmbeddedServer(tmp_path / "old") as old:
        here = ConnectionSettings(servers=(old.url,))
        await provision(app, here)
        await back_up(here, tmp_path / "saved")
    folder = BackupFolder(tmp_path / "saved")
    manifest = folder.read()
    more = [
        msgspec.structs.replace(part, last_seq=3) if part.stream == "EVENTS" else part
        for part in manifest.parts
    ]
    folder.write(msgspec.structs.replace(manifest, parts=tuple(more)))
    async with EmbeddedServer(tmp_path / "new") as new:
        here = ConnectionSettings(servers=(new.url,))
        with pytest.raises(RestoreBroken, match="EVENTS ends at 0 and not at 3"):
            await restore(here, tmp_path / "saved")
        with pytest.raises(TopologyMismatch, match="layby restore"):
            await provision(app, here)
