"""Claims, passes and declines on the page of a question in the console."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

import pytest

from layby import App, Role, Step
from layby.console.options import ProxyOptions
from tests.acceptance.test_console_guard import FORM, Reply, Visitor
from tests.engine import until
from tests.fix_browser import console_on

pytestmark = pytest.mark.nats

PROXY = ProxyOptions(
    header="X-Forwarded-User",
    trusted=("127.0.0.0/8",),
    operators=frozenset({"ann", "an n"}),
    responders=(("carl", ("developer",)), ("dan", ("lead",))),
)


def desk() -> App:
    app = App("desk", roles=[Role("developer", people=["ann", "carl"]), "lead"])

    @app.workflow(on="ticket.created", key="ticket", name="desk")
    async def work(event: dict[str, Any], step: Step) -> str:
        return (await step.ask("developer", f"What about {event['ticket']}?")).text

    return app


class Person(Visitor):
    """Somebody whom a proxy names."""

    name = ""

    def of(self, name: str) -> Person:
        found = Person(self.serving)
        found.name = name
        return found

    async def page(self, question: str) -> Reply:
        return await self.ask("GET", f"/inbox/{question}", X_Forwarded_User=self.name)

    async def says(self, question: str, verb: str, **fields: str) -> Reply:
        page = await self.page(question)
        token = re.findall(r'name="form_token" value="([\w-]+)"', page.body)[0]
        body = urlencode({**fields, "form_token": token}).encode()
        return await self.ask(
            "POST",
            f"/inbox/{question}/{verb}",
            body,
            Content_Type=FORM,
            X_Forwarded_User=self.name,
        )


async def asked(rt: Any, serving: Any) -> str:
    """A question that the console lists."""
    await rt.send("ticket.created", {"ticket": "T1"})

    async def listed() -> str:
        rows = await serving.console.catalogue.questions()
        return rows[0].id if rows else ""

    return await until(listed)


async def test_people_say_who_is_on_a_question(layby_running: Any) -> None:
    async with (
        layby_running(desk()) as rt,
        console_on(rt.settings, auth="proxy", proxy=PROXY) as serving,
    ):
        ann, carl = Person(serving).of("ann"), Person(serving).of("carl")
        question = await asked(rt, serving)
        page = await ann.page(question)
        for text in ("Who is on it", "I'm on it", "Not mine", "Pass on"):
            assert text in page.body
        assert (await ann.says(question, "claim", _do="claim")).status == 303

        async def claimed() -> bool:
            return "Release" in (await ann.page(question)).body

        await until(claimed)
        seen = await carl.page(question)
        assert "<bdi>ann</bdi></b> until" in seen.body
        assert "Release" not in seen.body
        lost = await carl.says(question, "claim", _do="claim")
        assert lost.status == 409
        assert "ann is on it until" in lost.body
        assert (await ann.says(question, "pass", to="role:lead")).status == 303
        nobody = await carl.says(question, "pass", to="lead")
        assert nobody.status == 409
        assert "role:lead" in nobody.body
        assert (await carl.says(question, "decline")).status == 303

        async def declined() -> bool:
            return "Declined by <bdi>ann, carl</bdi>" in (await ann.page(question)).body

        await until(declined)
        page = await Person(serving).of("dan").page(question)
        assert "ann passed it to role:lead" in page.body, "dan has the role lead"
        [run] = await rt.client.runs()
        shown = await ann.ask("GET", f"/runs/{run.id}", X_Forwarded_User="ann")
        for text in ("ann is on it", "ann passed it to role:lead", "carl declined"):
            assert text in shown.body
        state = await rt.state(run.id)
        assert [each.by for each in state.acts[question]] == ["ann", "ann", "carl"]


async def test_people_without_the_right_to_answer_cannot_act(layby_running: Any) -> None:
    async with (
        layby_running(desk()) as rt,
        console_on(rt.settings, auth="proxy", proxy=PROXY) as serving,
    ):
        question = await asked(rt, serving)
        eve = Person(serving).of("eve")
        page = await eve.page(question)
        assert "I'm on it" not in page.body
        for verb in ("claim", "decline", "pass"):
            reply = await eve.ask(
                "POST", f"/inbox/{question}/{verb}", Content_Type=FORM, X_Forwarded_User="eve"
            )
            assert reply.status == 403
        spaced = Person(serving).of("an n")
        assert "I'm on it" not in (await spaced.page(question)).body, "no word of a subject"
        assert (await spaced.says(question, "claim")).status == 403
        unknown = await Person(serving).of("ann").says(question, "steal")
        assert unknown.status in {200, 404}
        [row] = await rt.client.questions()
        assert row.claim is None


async def test_without_a_worker_it_is_stored_and_the_page_says_so(layby_running: Any) -> None:
    async with layby_running(desk(), workers=0) as rt:
        async with rt.worker(), console_on(rt.settings, auth="proxy", proxy=PROXY) as serving:
            question = await asked(rt, serving)
        async with console_on(rt.settings, auth="proxy", proxy=PROXY) as serving:
            ann = Person(serving).of("ann")

            async def listed() -> bool:
                return bool(await serving.console.catalogue.questions())

            await until(listed)
            stored = await ann.says(question, "claim")
            assert stored.status == 202
            assert "It is stored" in stored.body
        async with rt.worker():

            async def claimed() -> str:
                rows = await rt.client.questions()
                return rows[0].claim.by if rows and rows[0].claim else ""

            assert await until(claimed) == "ann"


async def test_people_ask_back_and_the_page_shows_what_and_the_reply(layby_running: Any) -> None:
    app = App("desk", roles=["developer"])
    hostile = "<script>alert(1)</script>"

    @app.workflow(on="ticket.created", key="ticket", name="desk")
    async def work(event: dict[str, Any], step: Step) -> str:
        del event
        return (await step.ask("developer", "Known?", explain=lambda asked: asked.text[::-1])).text

    async with (
        layby_running(app) as rt,
        console_on(rt.settings, auth="proxy", proxy=PROXY) as serving,
    ):
        ann, dan = Person(serving).of("ann"), Person(serving).of("dan")
        question = await asked(rt, serving)
        assert "Ask back" not in (await dan.page(question)).body, "he is not asked"
        assert "Ask back" in (await ann.page(question)).body
        empty = await ann.says(question, "ask-back", text="  ")
        assert empty.status == 409
        assert "what you want to know" in empty.body
        assert (await ann.says(question, "ask-back", text=hostile)).status == 303

        async def shown() -> str:
            body = (await ann.page(question)).body
            return body if hostile[::-1].replace(">", "&gt;").replace("<", "&lt;") in body else ""

        page = await until(shown)
        assert hostile not in page
        assert "&lt;script&gt;" in page


async def test_a_page_shows_when_a_claim_expires_although_nothing_is_stored(
    layby_running: Any,
) -> None:
    async with (
        layby_running(desk()) as rt,
        console_on(rt.settings, auth="proxy", proxy=PROXY) as serving,
    ):
        question = await asked(rt, serving)
        catalogue = serving.console.catalogue
        await rt.client.claim("T1", by="ann", minutes=0.02)

        async def claim() -> list[str]:
            found = await catalogue.questions()
            return [each.claim.by if each.claim else "" for each in found]

        async with catalogue.changes() as batches:
            while await claim() != ["ann"]:
                await anext(batches)
            while await claim() != [""]:
                assert any(change.id == question for change in await anext(batches))
