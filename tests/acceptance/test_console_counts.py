"""The console counts what the log, the list and the receipts count, and names who decided."""

from __future__ import annotations

import re

import pytest

from layby.console.login.session import Rights
from tests.acceptance.test_console_guard import Visitor
from tests.acceptance.test_votes import finance, said
from tests.engine import Engine, until
from tests.fix_browser import console_on

pytestmark = pytest.mark.nats


def badge(page: str) -> list[str]:
    """The number of open questions in the rail."""
    return re.findall(r'data-open="(\d+)"', page)


async def test_counts_and_names_are_those_of_the_log(engine: Engine) -> None:
    async with engine.works(finance()), console_on(engine.settings) as serving:
        run = await engine.start("T1")
        question = await engine.question()
        visitor, console = Visitor(serving), serving.console
        await visitor.enter()

        async def page(path: str = f"/inbox/{question.id}") -> str:
            return (await visitor.ask("GET", path)).body

        async def counted() -> bool:
            return console.tally.seen_by(Rights())["open"] == 1

        await until(counted)
        assert len(await engine.client.questions()) == 1
        assert "1 open" in await page()
        assert badge(await page()) == ["1"]
        assert [await said(engine, "ada", "yes"), await said(engine, "cleo", "no")] == [
            ("counted", "1 of 2 for 'yes'"),
            ("counted", "1 of 2 for 'no'"),
        ]

        async def voted() -> bool:
            [row] = await console.catalogue.questions()
            return [(each.by, each.choice) for each in row.votes] == [
                ("ada", "yes"),
                ("cleo", "no"),
            ]

        await until(voted)
        shown = await page()
        assert "<bdi>ada</bdi> of finance: yes" in shown
        assert "<bdi>cleo</bdi> of finance: no" in shown
        assert (await said(engine, "bob", "yes"))[0] == "accepted"
        assert (await engine.result(run))["by"] == "ada, bob"

        async def closed() -> str:
            history = await page("/inbox/history")
            return history if "answered by" in history else ""

        assert "answered by <bdi>ada, bob</bdi>" in await until(closed)
        assert await engine.client.questions() == []

        async def none_left() -> bool:
            return console.tally.seen_by(Rights())["open"] == 0

        await until(none_left)
        assert "0 open" in await page("/inbox")
        assert badge(await page("/inbox")) == ["0"]
