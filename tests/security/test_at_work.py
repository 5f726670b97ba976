"""Everything that people do works through the wall: commands, the nats CLI, a worker."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from layby.bus.errors import PermissionDenied
from tests.command import done
from tests.engine import until
from tests.security.house import EVENT, WITHIN, House

pytestmark = pytest.mark.nats

ROOT = Path(__file__).parents[2]
NATS = shutil.which("nats")


def environ(house: House, login: str) -> dict[str, str]:
    """What somebody sets to be `login`."""
    settings = house.settings(login)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NATS_")}
    clean |= {"NATS_URL": house.url, "NATS_INBOX_PREFIX": settings.inbox_prefix}
    if settings.creds:
        return {**clean, "NATS_CREDS": settings.creds}
    return {**clean, "NATS_USER": login, "NATS_PASSWORD": settings.password or ""}


async def command(house: House, login: str, *words: str) -> tuple[int, str, str]:
    """Run a program as `login`; its exit code, and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=ROOT,
        env=environ(house, login),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(WITHIN):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def layby(house: House, login: str, *words: str) -> Any:
    """Run `layby ... --json` as `login`, and read what it prints."""
    arguments, who = (*words, "--json"), environ(house, login)
    ended = await asyncio.to_thread(done, arguments, folder=ROOT, environ=who, within=WITHIN)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return json.loads(ended.stdout)


async def nats(house: House, login: str, *words: str) -> str:
    """Run the nats CLI as `login`."""
    if NATS is None:
        pytest.skip("the nats CLI is not on PATH")
    prefix = house.settings(login).inbox_prefix
    code, out, err = await command(house, login, NATS, "--inbox-prefix", prefix, *words)
    assert code == 0, out + err
    return out + err


async def test_a_ticket_by_layby_commands(house: House) -> None:
    async with house.working():
        sent = await layby(house, "helpdesk", "send", EVENT, '{"ticketId": "T1"}')
        assert (sent["stream"], sent["seq"]) == ("EVENTS", 1)
        run = await house.listed("T1")
        [question] = await layby(house, "ada", "questions")
        assert question["ticket"] == "T1"
        receipt = await layby(house, "ada", "answer", "T1", "Fixed", "--responder", "ada")
        assert (receipt["outcome"], receipt["by"]) == ("accepted", "ada")
        assert (await house.ended(run)).status == "completed"
        assert await layby(house, "observer", "runs")
        assert (await layby(house, "observer", "show", "T1"))["result"] == "ada: Fixed"
        findings = await layby(house, "observer", "doctor")
        assert not [each for each in findings if each["level"] == "error"]


async def test_a_ticket_by_the_lines_of_the_readme(house: House) -> None:
    async with house.working():
        stored = await nats(house, "helpdesk", "pub", "-J", EVENT, '{"ticketId":"T125"}')
        assert "EVENTS" in stored
        run = await house.listed("T125")
        line = ["--no-templates", "developer.response.T125", '{"answer":"Fixed in v1.1.4"}']
        assert "ANSWERS" in await nats(house, "ada", "pub", "-J", *line)
        assert (await house.ended(run)).result == ": Fixed in v1.1.4"
        receipt = ["stream", "get", "QUESTIONS", "--last-for", "developer.receipt.T125"]
        assert '"accepted"' in await nats(house, "observer", *receipt)


async def test_a_named_answer_by_the_nats_cli(house: House) -> None:
    async with house.working(), house.raw("ada") as ada:
        await house.question("T1")
        ada.subscribe(b"developer.receipt.T1")
        await ada.sent()
        await nats(house, "ada", "pub", "-J", "developer.response.T1.ada", "Fixed")
        [(_, _, _, body)] = await ada.received()
        assert json.loads(body)["by"] == "ada"


async def test_a_person_hears_of_questions_and_receipts(house: House) -> None:
    async with house.working(), house.raw("ada") as ada, house.client("ada") as client:
        ada.subscribe(b"developer.question.*")
        ada.subscribe(b"developer.receipt.*")
        assert await ada.sent() == []
        await house.question("T1")
        await client.answer("T1", "yes", responder="ada", timeout=WITHIN)
        subjects = [subject for subject, *_ in await ada.received(2)]
        assert subjects == [b"developer.question.T1", b"developer.receipt.T1"]


async def test_an_operator_follows_cancels_and_purges(house: House) -> None:
    async with house.working(), house.client("operator") as operator:
        run = await house.question("T1")
        assert (await operator.cancel("T1", "enough")).status == "cancelled"
        async with asyncio.timeout(WITHIN):
            lines = [line.kind async for line in operator.follow(run)]
        assert lines[-1] == "run.ended"

        async def cancelled() -> bool:
            return bool(await operator.runs("cancelled"))

        await until(cancelled, WITHIN)
        assert (await operator.purge(0)).runs == 1


@pytest.mark.parametrize("login", ["helpdesk", "ada", "observer"])
async def test_a_user_who_may_not_cancel_is_told_so(house: House, login: str) -> None:
    async with house.working(), house.client(login) as client:
        run = await house.question("T1")
        with pytest.raises(PermissionDenied):
            await client.cancel(run)


async def test_a_person_reads_no_state_of_runs(house: House) -> None:
    async with house.working(), house.raw("ada") as ada:
        await house.question("T1")
        reads = [b"KV_parked", b"KV_parked.$KV.parked.T1", b"KV_runs", b"RUNS", b"ANSWERS"]
        for read in reads:
            ada.publish(b"$JS.API.DIRECT.GET." + read, b"{}", reply=b"_INBOX_ada.x")
        for stream in (b"KV_parked", b"RUNS"):
            ada.publish(b"$JS.API.STREAM.MSG.GET." + stream, b'{"seq":1}', reply=b"_INBOX_ada.x")
        ada.subscribe(b"to.>")
        assert len(await ada.sent()) == len(reads) + 3
        assert ada.messages == []


async def test_what_a_person_reads_is_the_question_and_nothing_else(house: House) -> None:
    """The bucket that they read once held the state of the run, and what other steps returned."""
    async with house.working(), house.raw("ada") as ada:
        await house.question("T1")
        ada.subscribe(b"_INBOX_ada.>")
        body = b'{"next_by_subj":"$KV.questions.developer.>","batch":9}'
        ada.publish(b"$JS.API.DIRECT.GET.KV_questions", body, reply=b"_INBOX_ada.1")
        [(_, _, _, row)] = (await ada.received())[:1]
        held = json.loads(row)
    assert held.keys() == {"ticket", "question"}
    assert held["question"]["question"] == "What about T1?"
    assert not {"state", "frames", "slots", "runs", "event", "input"} & held["question"].keys()


async def test_a_command_and_its_outcome_by_the_nats_cli(house: House) -> None:
    async with house.working():
        run = await house.question("T1")
        command = ["--no-templates", "layby.do.cancel.operator", json.dumps({"run": run})]
        assert "AUDIT" in await nats(house, "operator", "pub", "-J", *command)
        assert (await house.ended(run)).status == "cancelled"

        async def told() -> bool:
            async with house.client("observer") as observer:
                return [row.outcome for row in await observer.audit()] == ["done"]

        await until(told, WITHIN)
        outcome = ["stream", "get", "AUDIT", "--last-for", "layby.done.operator.1"]
        assert '"outcome":"done"' in await nats(house, "observer", *outcome)
        assert "commands" in await nats(house, "observer", "consumer", "info", "AUDIT", "commands")
