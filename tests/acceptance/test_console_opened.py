"""Who has looked at a question in the console: what a page's script sends, and nothing else."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.acceptance.test_console_claims import PROXY, Person, asked, desk
from tests.acceptance.test_console_guard import FORM, Reply
from tests.engine import until
from tests.fix_browser import console_on

pytestmark = pytest.mark.nats


async def stored(rt: Any) -> int:
    """How many messages say something to a question."""
    info = await rt._requests.api("STREAM.INFO.ANSWERS")
    return int(info["state"]["messages"])


async def looks(person: Person, question: str, form: str | None = None) -> Reply:
    """Post what the script posts."""
    if form is None:
        page = await person.page(question)
        form = next(iter(re.findall(r'name="form_token" value="([\w-]+)"', page.body)), "none")
    body = urlencode({"form_token": form}).encode()
    path = f"/inbox/{question}/opened"
    return await person.ask("POST", path, body, Content_Type=FORM, X_Forwarded_User=person.name)


async def test_no_get_records_that_somebody_has_looked(layby_running: Any) -> None:
    async with (
        layby_running(desk()) as rt,
        console_on(rt.settings, auth="proxy", proxy=PROXY) as serving,
    ):
        ann, question = Person(serving).of("ann"), await asked(rt, serving)
        [run] = await rt.client.runs()
        paths = ("/inbox", f"/inbox/{question}", f"/inbox/{question}/opened", f"/runs/{run.id}")
        for path in (*paths, f"/api/v1/questions/{question}"):
            for method in ("GET", "HEAD"):
                await ann.ask(method, path, X_Forwarded_User="ann")
        page = await ann.page(question)
        assert "Nobody has opened it yet" in page.body
        assert await stored(rt) == 0
        [row] = await rt.client.questions()
        assert row.opened == []


async def test_what_the_page_posts_is_recorded_once_in_the_name_of_its_person(
    layby_running: Any,
) -> None:
    async with (
        layby_running(desk()) as rt,
        console_on(rt.settings, auth="proxy", proxy=PROXY) as serving,
    ):
        ann, question = Person(serving).of("ann"), await asked(rt, serving)
        assert f'data-opened="/inbox/{question}/opened"' in (await ann.page(question)).body
        assert (await looks(ann, question, form="forged")).status == 403
        assert await stored(rt) == 0
        assert (await looks(ann, question)).status == 204

        async def shown() -> str:
            page = (await ann.page(question)).body
            return page if "Opened by <bdi>ann</bdi>" in page else ""

        assert "data-opened" not in await until(shown), "the page need not say it again"
        assert (await looks(ann, question)).status == 204
        assert await stored(rt) == 1, "nor is it sent again"
        carl = await Person(serving).of("carl").page(question)
        assert "Opened by <bdi>ann</bdi>" in carl.body
        assert "data-opened" in carl.body, "carl has not looked"
        [row] = await rt.client.questions()
        assert [(each.by, each.channel) for each in row.opened] == [("ann", "proxy")]
        [run] = await rt.client.runs()
        shown_run = await ann.ask("GET", f"/runs/{run.id}", X_Forwarded_User="ann")
        assert "ann opened it" in shown_run.body


async def test_people_without_the_right_to_answer_are_not_recorded_as_viewers(
    layby_running: Any,
) -> None:
    async with (
        layby_running(desk()) as rt,
        console_on(rt.settings, auth="proxy", proxy=PROXY) as serving,
        console_on(rt.settings, auth="proxy", proxy=PROXY, read_only=True) as readers,
    ):
        question = await asked(rt, serving)
        await asked(rt, readers)
        for name in ("eve", "an n"):
            person = Person(serving).of(name)
            assert "data-opened" not in (await person.page(question)).body
            assert (await looks(person, question)).status == 403
        reader = Person(readers).of("ann")
        assert "data-opened" not in (await reader.page(question)).body
        assert (await looks(reader, question)).status == 403
        assert (await looks(Person(serving).of("ann"), "qother")).status in {403, 404}
        assert await stored(rt) == 0
