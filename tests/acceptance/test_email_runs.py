"""From the question to the mail, its link and the result, with workers that are killed."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from urllib.parse import urlsplit

import pytest

from layby.actors.people.answer_link import LinkKeys
from layby.testing import TestRuntime
from tests.acceptance.test_console_guard import FORM, Visitor
from tests.acceptance.test_webhook import SECRET, Receiver, verified
from tests.engine import until
from tests.fix_browser import console_on
from tests.fix_smtp import PostOffice

pytestmark = [pytest.mark.nats, pytest.mark.slow]
Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]
TARGET = "tests.mail_app:app"
KEY = "k" * 32


@pytest.fixture
async def receiver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receiver]:
    from tests.mail_app import PORT  # noqa: PLC0415  not before processes are forked: each has its own

    found = Receiver()
    server = await asyncio.start_server(found.serve, "127.0.0.1", PORT)
    monkeypatch.setenv("LAYBY_WEBHOOK_SECRET", SECRET)
    async with server:
        yield found


def kinds(receiver: Receiver) -> Counter[str]:
    return Counter(verified(each)["type"].rpartition(".")[2] for each in receiver.requests)


async def test_a_question_is_mailed_answered_by_its_link_and_told_to_all(
    layby_running: Running,
    office: PostOffice,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with (
        layby_running(TARGET, workers=0) as rt,
        console_on(rt.settings, links=LinkKeys(KEY)) as serving,
    ):
        monkeypatch.setenv("LAYBY_LINK_KEY", KEY)
        monkeypatch.setenv("LAYBY_CONSOLE_URL", serving.url)
        async with rt.worker():
            await rt.send("mails.asked", {"ticket": "T1"})
            await until(lambda: _when(len(office.mails) == 2))
            [bob] = [each for each in office.mails if each.to == ["bob@acme.example"]]
            links: list[str] = re.findall(r"^http://\S+$", bob.part("plain"), re.MULTILINE)
            link = str(urlsplit(links[0]).path)
            reply = await Visitor(serving).ask("POST", link, b"", Content_Type=FORM)
            assert "Your answer counts" in reply.body
            result = await rt.result("T1")
            assert result == {"value": True, "by": "bob", "vouched": "link"}
            await until(lambda: _when(len(office.mails) == 4))
            closing = office.mails[2:]
            assert {each.message["In-Reply-To"] for each in closing} == {
                each.message["Message-ID"] for each in office.mails[:2]
            }
            assert all("bob answered: yes" in each.part("plain") for each in closing)
            await until(lambda: _when(kinds(receiver)["closed"] >= 1))
            assert kinds(receiver)["sent"] == 1


async def test_a_worker_that_dies_with_a_mail_has_it_sent_again_under_the_same_id(
    layby_running: Running, office: PostOffice, receiver: Receiver
) -> None:
    async with layby_running(TARGET, workers=0) as rt:
        await rt.send("mails.asked", {"ticket": "T1"})
        await rt.crash("after_card_sent", after=2)  # of mails and webhooks, whichever was second
        async with rt.worker():
            await rt.client.answer("T1", "yes", by="ada", timeout=30)
            await rt.result("T1")
            await until(lambda: _when(kinds(receiver)["closed"] >= 1))
    questions = [each for each in office.mails if "In-Reply-To" not in each.message]
    ids = Counter(each.message["Message-ID"] for each in questions)
    assert len(ids) == 2
    assert ids.total() <= 4
    sent = {each.event["id"] for each in receiver.requests if each.event["type"][-4:] == "sent"}
    assert len(sent) == 1


async def test_an_address_that_is_refused_escalates_at_once(
    layby_running: Running, office: PostOffice
) -> None:
    office.refused["nobody@acme.example"] = "550 5.1.1 no such user"
    async with layby_running(TARGET) as rt:
        run = await rt.send("mails.asked", {"ticket": "T1", "role": "nobody"})
        await until(lambda: _when(bool(office.mails)))
        [lead] = office.mails
        assert lead.to == ["lead@acme.example"]
        assert "asked of nobody first" in lead.part("plain")
        told = [line async for line in _events(rt, run, "question.undelivered")]
        assert told


async def _when(holds: bool) -> bool:  # noqa: FBT001
    return holds


async def _events(rt: TestRuntime, run: str, kind: str) -> AsyncIterator[str]:
    """The first event of a kind."""
    async with asyncio.timeout(30):
        async for line in rt.client.follow(run, wait=True):
            if line.kind == kind:
                yield line.kind
                return
