"""The refund: one of finance and one of legal decide, and nobody is forgotten."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from examples.approvals.app import app
from examples.approvals.books import Books
from examples.approvals.mailbox import as_text
from layby import ToolError
from layby.actors.people.rota import Window
from layby.client.decision import verify
from layby.testing import TestRuntime
from tests.engine import until
from tests.fix_smtp import PostOffice

pytestmark = pytest.mark.nats

Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]
REQUEST = {"order": "A17", "clerk": "bob", "reason": "it arrived broken"}


@pytest.fixture
def books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Books:
    """Where refunds are written."""
    monkeypatch.setenv("LAYBY_DATA", str(tmp_path))
    return Books.from_env()


async def vote(rt: TestRuntime, by: str, text: str, role: str = "finance") -> str:
    """The outcome of a vote."""
    receipt = await rt.client.answer("A17", text, role=role, responder=by, timeout=30)
    return receipt.outcome


async def test_one_of_finance_and_one_of_legal_pay_it_back(
    layby_running: Running, books: Books
) -> None:
    async with layby_running(app) as rt:
        await rt.send("refund.requested", REQUEST)
        asked = await rt.question(role="finance")
        assert (
            asked.terms
            == "decided by 1 of finance and 1 of legal; one rejection is enough; not by bob"
        )
        assert await vote(rt, "bob", "approve") == "invalid"
        assert await vote(rt, "ada", "approve") == "counted"
        assert await vote(rt, "ada", "approve") == "already_voted"
        assert books.paid_back() == []
        assert await vote(rt, "dan", "approve", role="legal") == "accepted"
        done = await rt.result()
        found = await rt.client.decision(asked.id)
    assert done == {"order": "A17", "refunded": True, "told": "900.00 EUR were paid back for A17."}
    assert books.paid_back() == [("A17", 90_000)]
    assert all(check.ok for check in verify(found))


async def test_one_rejection_is_enough_and_the_desk_words_it(
    layby_running: Running, books: Books
) -> None:
    async with layby_running(app) as rt:
        await rt.send("refund.requested", REQUEST)
        await rt.question(role="legal")
        assert await vote(rt, "eve", "reject: no photo", role="legal") == "accepted"
        await rt.question(role="support")
        await rt.client.answer("A17", "Please send us a photo.", role="support", timeout=30)
        done = await rt.result()
    assert (done["refunded"], done["told"]) == (False, "Please send us a photo.")
    assert books.paid_back() == []


async def test_the_person_on_duty_is_reminded_and_then_the_cfo(
    layby_running: Running, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAYBY_SECOND", "0.02")
    shift = Window(person="ada", start="2020-01-01T00:00", end="2090-01-01T00:00")
    quick = importlib.reload(sys.modules["examples.approvals.app"]).app
    async with layby_running(quick) as rt:
        await rt.client.rotas.change("finance", add=[shift])
        await rt.send("refund.requested", REQUEST)

        async def climbed() -> list[tuple[str, tuple[str, ...]]]:
            rows = await rt.client.questions("finance")
            rungs = [rung for row in rows for rung in row.ladder]
            done = rungs and all(rung.reached for rung in rungs)
            return [(rung.kind, tuple(rung.told)) for rung in rungs] if done else []

        assert await until(climbed) == [
            ("asked", ("ada",)),
            ("reminder", ("ada",)),
            ("reminder", ("ada",)),
            ("escalation", ("cfo",)),
        ]
        assert books.paid_back() == []


async def test_both_departments_get_the_call_as_a_mail(
    layby_running: Running, books: Books, office: PostOffice
) -> None:
    mailing = importlib.reload(sys.modules["examples.approvals.app"]).app
    async with layby_running(mailing) as rt:
        shift = Window(person="ada", start="2020-01-01T00:00", end="2090-01-01T00:00")
        await rt.client.rotas.change("finance", add=[shift])
        await rt.send("refund.requested", REQUEST)

        async def both() -> bool:
            return len(office.mails) >= 2

        await until(both)
    to = {address for mail in office.mails for address in mail.to}
    assert "legal@acme.example" in to
    for mail in office.mails:
        text = as_text(mail.to, mail.raw)
        assert 'refund(order="A17", cents=90000)' in text
        assert "1 of finance and 1 of legal" in text
    assert books.paid_back() == []


async def test_a_small_refund_needs_nobody(layby_running: Running, books: Books) -> None:
    async with layby_running(app) as rt:
        await rt.send("refund.requested", {**REQUEST, "order": "A18"})
        assert (await rt.result("A18"))["refunded"]
    assert books.paid_back() == [("A18", 1_900)]


@pytest.mark.slow
async def test_a_worker_that_dies_with_the_deciding_vote_pays_once(
    layby_running: Running, books: Books
) -> None:
    async with layby_running("examples.approvals:app", workers=0) as rt:
        await rt.send("refund.requested", REQUEST)
        async with rt.worker():
            await rt.question(role="legal")
            assert await vote(rt, "ada", "approve") == "counted"
        async with rt.crashing("after_voted"):
            await rt._requests.store("legal.response.A17.dan", b"approve")
        async with rt.worker():
            assert (await rt.result())["refunded"]
    assert books.paid_back() == [("A17", 90_000)]


def test_what_the_books_refuse(books: Books) -> None:
    with pytest.raises(ToolError, match=r"no order 'B1'; there are: A17, A18"):
        books.order("B1")
    with pytest.raises(ToolError, match="between 1 and 1900 cents"):
        books.pay_back("A18", 1_901, key="k")
    for _ in range(2):
        books.pay_back("A18", 1, key="k")
    assert books.paid_back() == [("A18", 1)]
