"""The inbox in a real browser, with a real worker: what is asked there is answered there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.browser.inbox_app import ASKED, BANK, app_of, refunds
from tests.fix_browser import OpenPage, check_axe, console_on
from tests.scripted import calls, says

pytestmark = [pytest.mark.nats, pytest.mark.slow]

PHONE = {"viewport": {"width": 360, "height": 760}}
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\u202egnp.exe\x07 & \"'</textarea>"


async def ask(rt: Any, ticket: str = "T1", **event: Any) -> Any:
    """Ask a question, and return it."""
    await rt.send(ASKED, {"ticket": ticket, **event})
    return await rt.question()


async def test_a_ticket_is_answered_by_one_click_and_its_run_completes(
    layby_running: Any, tab: OpenPage
) -> None:
    async with layby_running(app_of()) as rt, console_on(rt.settings) as console:
        await ask(rt, form="yesno", question="Ship by air?")
        async with tab(console, "/inbox") as page:
            await page.get_by_role("button", name="Yes").click()
            await page.get_by_text("Accepted at").wait_for()
            await page.locator("#questions > li").wait_for(state="detached")
            assert await page.get_by_text("No open questions").is_visible()
        assert (await rt.result())["value"] is True


async def test_a_question_appears_without_a_reload(layby_running: Any, tab: OpenPage) -> None:
    async with (
        layby_running(app_of()) as rt,
        console_on(rt.settings) as console,
        tab(console, "/inbox") as page,
    ):
        assert await page.get_by_text("No open questions").is_visible()
        await ask(rt, question="Which browsers?")
        await page.get_by_role("heading", name="Which browsers?").wait_for()


async def test_one_of_two_tabs_wins_and_the_other_is_told_who(
    layby_running: Any, tab: OpenPage
) -> None:
    async with layby_running(app_of()) as rt, console_on(rt.settings) as console:
        question = await ask(rt)
        path = f"/inbox/{question.id}"
        async with tab(console, path) as one, tab(console, path, java_script_enabled=False) as two:
            await one.get_by_label("Your answer").fill("first")
            await two.get_by_label("Your answer").fill("second")
            await one.get_by_role("button", name="Send answer").click()
            await one.get_by_text("Accepted at").wait_for()
            await two.get_by_role("button", name="Send answer").click()
            await two.get_by_text("You had answered already").wait_for()
            assert "second" in await two.locator(".q-note").inner_text()
        assert (await rt.result())["said"] == "first"


async def test_an_answer_from_elsewhere_closes_the_page_and_keeps_the_text(
    layby_running: Any, tab: OpenPage
) -> None:
    async with layby_running(app_of()) as rt, console_on(rt.settings) as console:
        question = await ask(rt)
        async with tab(console, f"/inbox/{question.id}") as page:
            await page.get_by_label("Your answer").fill("I was about to say")
            await rt.client.answer("T1", "Done already.", by="bob", question_id=question.id)
            await page.get_by_text("bob answered").wait_for()
            assert "Done already." in await page.locator(".q-note").inner_text()
            assert await page.get_by_label("Your answer").input_value() == "I was about to say"
            assert await page.get_by_role("button", name="Send answer").is_disabled()
            await page.keyboard.press("Control+Enter")
            await page.locator("#questions > li").wait_for(state="detached")
            assert len((await rt.client.decision(question.id)).answers) == 1


async def test_it_works_behind_a_base_path(layby_running: Any, tab: OpenPage) -> None:
    async with (
        layby_running(app_of()) as rt,
        console_on(rt.settings, base_path="/layby") as console,
    ):
        question = await ask(rt)
        async with tab(console, "/inbox") as page:
            await page.get_by_label("Your answer").fill("fine")
            await page.get_by_role("button", name="Send answer").click()
            await page.wait_for_url(f"{console.url}/inbox/{question.id}?sent=*")
            await page.get_by_text("Accepted at").wait_for()
            await page.reload()
            await page.get_by_text("Accepted at").wait_for()
        assert (await rt.result())["said"] == "fine"


async def test_a_double_click_is_one_answer(layby_running: Any, tab: OpenPage) -> None:
    async with layby_running(app_of()) as rt, console_on(rt.settings) as console:
        question = await ask(rt, form="choice")
        async with tab(console, f"/inbox/{question.id}") as page:
            await page.get_by_role("button", name="green").dblclick()
            await page.get_by_text("Accepted at").wait_for()
        assert (await rt.result())["value"] == "green"


async def test_every_kind_of_field_comes_to_the_worker(layby_running: Any, tab: OpenPage) -> None:
    async with layby_running(app_of()) as rt, console_on(rt.settings) as console:
        question = await ask(rt, form="report")
        async with tab(console, f"/inbox/{question.id}", allow=("422",)) as page:
            await page.get_by_role("button", name="Send answer").click()
            await (
                page.get_by_text("Choose yes or no")
                .or_(page.get_by_text("Fill this in").first)
                .first.wait_for()
            )
            await page.get_by_text("Yes", exact=True).click()
            await page.get_by_label("Severity").select_option("high")
            await page.get_by_label("Customers affected").fill("-4")
            await page.get_by_label("Fixed on").fill("2026-12-01")
            await page.get_by_role("textbox", name="Cause").fill("Rounding\nper line")
            await page.get_by_role("button", name="to Parts").click()
            await page.get_by_role("textbox", name="Name").fill("Wheel")
            await page.get_by_role("textbox", name="Pieces").fill("2")
            await page.get_by_role("button", name="to Parts").click()
            await page.get_by_role("textbox", name="Name").nth(1).fill("Axle")
            await page.get_by_role("textbox", name="Pieces").nth(1).fill("1")
            await page.get_by_role("button", name="to Parts").click()
            await page.get_by_role("button", name="Remove Parts 3").click()
            await page.get_by_role("textbox", name="Pieces").nth(2).wait_for(state="detached")
            await page.get_by_label("Include Address").check()
            await page.get_by_role("textbox", name="Street").fill("Long Road 1")
            await page.get_by_role("textbox", name="City").fill("Ulm")
            await page.get_by_role("button", name="Send answer").click()
            await page.get_by_text("Must be 0 or more").wait_for()
            assert await page.get_by_label("Customers affected").input_value() == "-4"
            assert await page.get_by_role("textbox", name="Name").nth(1).input_value() == "Axle"
            await check_axe(page)
            await page.get_by_label("Customers affected").fill("12")
            await page.get_by_role("button", name="Send answer").click()
            await page.get_by_text("Accepted at").wait_for()
        assert (await rt.result())["value"] == {
            "confirmed": True,
            "severity": "high",
            "customers": 12,
            "fixed_on": "2026-12-01",
            "cause": "Rounding\nper line",
            "parts": [{"name": "Wheel", "pieces": 2}, {"name": "Axle", "pieces": 1}],
            "address": {"street": "Long Road 1", "city": "Ulm"},
            "channel": [],
        }


async def test_a_form_with_a_list_works_without_the_script(
    layby_running: Any, tab: OpenPage
) -> None:
    async with layby_running(app_of()) as rt, console_on(rt.settings) as console:
        question = await ask(rt, form="report")
        async with tab(console, f"/inbox/{question.id}", java_script_enabled=False) as page:
            await page.get_by_text("No", exact=True).click()
            await page.get_by_label("Severity").select_option("low")
            await page.get_by_label("Customers affected").fill("0")
            await page.get_by_role("button", name="to Parts").click()
            await page.get_by_role("textbox", name="Name").fill("Wheel")
            await page.get_by_role("textbox", name="Pieces").fill("3")
            await page.get_by_role("textbox", name="Cause").fill("none")
            await page.get_by_role("button", name="Send answer").click()
            await page.get_by_text("Accepted at").wait_for()
        value = (await rt.result())["value"]
        assert (value["confirmed"], value["parts"]) == (False, [{"name": "Wheel", "pieces": 3}])
        assert value["address"] is None


async def test_a_call_is_edited_and_approved(layby_running: Any, tab: OpenPage) -> None:
    BANK.paid.clear()
    async with layby_running(app_of(*refunds())) as rt, console_on(rt.settings) as console:
        question = await ask(rt, agent=True)
        async with tab(console, f"/inbox/{question.id}") as page:
            arguments = page.get_by_role("table", name="Exact arguments")
            assert [*(await arguments.locator("td:nth-child(2)").all_inner_texts())] == [
                '"A1"',
                "50.0",
                '""',
            ]
            assert question.digest in await page.locator(".digest").inner_text()
            await page.keyboard.press("e")
            await page.get_by_role("textbox", name="Amount").fill("5")
            await page.keyboard.press("Control+Enter")
            await page.get_by_text("Accepted at").wait_for()
            changed = page.locator(".q-note .diff")
            assert '"amount": 5' in await changed.locator("ins").inner_text()
        await rt.result()
    assert BANK.paid == [("A1", 5)]


async def test_a_call_is_rejected_with_a_reason_and_by_keys_alone(
    layby_running: Any, tab: OpenPage
) -> None:
    BANK.paid.clear()
    script = [calls(("refund", {"order": "A1", "amount": 5})), says("Told.")]
    async with layby_running(app_of(*script)) as rt, console_on(rt.settings) as console:
        await ask(rt, agent=True)
        async with tab(console, "/inbox") as page:
            await page.keyboard.press("j")
            await page.keyboard.press("Enter")
            await page.wait_for_url("**/inbox/q*")
            await page.keyboard.press("m")  # nothing is written: it asks for that
            await page.keyboard.type("too much")
            await page.keyboard.press("Escape")
            await page.keyboard.press("r")
            await page.get_by_text("Accepted at").wait_for()
        await rt.result()
        answers = [e for e in (await rt.client.show("T1")).steps if e.kind == "question.answered"]
        assert "too much" in answers[0].detail
    assert not BANK.paid


async def test_an_answer_waits_for_a_worker_and_the_page_says_when_it_counts(
    layby_running: Any, tab: OpenPage
) -> None:
    async with layby_running(app_of(), workers=0) as rt, console_on(rt.settings) as console:
        async with rt.worker():
            question = await ask(rt)
        async with tab(console, f"/inbox/{question.id}") as page:
            await page.get_by_label("Your answer").fill("later")
            await page.get_by_role("button", name="Send answer").click()
            await page.get_by_text("No worker has taken it yet").wait_for()
            async with rt.worker():
                await page.get_by_text("Accepted at").wait_for()
                assert (await rt.result())["said"] == "later"


async def test_a_question_that_expires_while_it_is_open_closes(
    layby_running: Any, tab: OpenPage
) -> None:
    async with layby_running(app_of()) as rt, console_on(rt.settings) as console:
        question = await ask(rt, timeout="1h")
        async with tab(console, f"/inbox/{question.id}") as page:
            await page.get_by_label("Your answer").fill("almost")
            await rt.advance()
            await page.locator("article .note").wait_for()
            assert await page.get_by_role("button", name="Send answer").is_disabled()
            assert await page.get_by_label("Your answer").input_value() == "almost"


async def test_drafts_survive_a_reload(layby_running: Any, tab: OpenPage) -> None:
    async with layby_running(app_of()) as rt, console_on(rt.settings) as console:
        question = await ask(rt, form="report")
        async with tab(console, f"/inbox/{question.id}") as page:
            await page.get_by_role("textbox", name="Cause").fill("half a thought")
            await page.get_by_role("button", name="to Parts").click()
            await page.get_by_role("textbox", name="Name").fill("Wheel")
            await page.reload()
            await page.get_by_role("textbox", name="Name").wait_for()
            assert await page.get_by_role("textbox", name="Name").input_value() == "Wheel"
            assert await page.get_by_role("textbox", name="Cause").input_value() == "half a thought"


async def test_hostile_text_is_text_and_a_large_context_opens(
    layby_running: Any, tab: OpenPage
) -> None:
    large = f"{HOSTILE}\n" * (1_000_000 // len(HOSTILE))
    async with layby_running(app_of()) as rt, console_on(rt.settings) as console:
        question = await ask(rt, "T<b>", question=f"Is {HOSTILE} fine?", context=large[:300_000])
        async with tab(console, f"/inbox/{question.id}") as page:
            heading = await page.locator("article h2").inner_text()
            assert "<script>alert(1)</script>" in heading
            assert "\u202e" not in heading
            assert await page.locator("article img").count() == 0
            await page.get_by_label("Your answer").fill(HOSTILE)
            await page.get_by_role("button", name="Send answer").click()
            await page.get_by_text("Accepted at").wait_for()
        assert "<script>" in (await rt.result())["said"]


async def test_hostile_arguments_are_text(layby_running: Any, tab: OpenPage) -> None:
    order = f'A1{HOSTILE}\narguments: {{\n  "order": "B2"\n}}'
    script = [calls(("refund", {"order": order, "amount": 1})), says("Done.")]
    async with layby_running(app_of(*script)) as rt, console_on(rt.settings) as console:
        question = await ask(rt, agent=True)
        async with tab(console, f"/inbox/{question.id}") as page:
            shown = await page.locator(".args").inner_text()
            assert "<script>alert(1)</script>" in shown
            assert '"order": "B2"' in shown  # inside the argument, and no argument of its own
            assert await page.locator(".args th").all_inner_texts() == ["order", "amount", "note"]
            await page.get_by_text("Edit the arguments").click()
            await page.get_by_role("textbox", name="Amount").fill("2")
            await page.get_by_role("button", name="Approve with these").click()
            await page.get_by_text("Accepted at").wait_for()
        await rt.result()
    assert BANK.paid[-1] == (order, 2)


async def test_a_change_of_text_is_shown_as_a_diff(layby_running: Any, tab: OpenPage) -> None:
    change = {"file": "a.py", "old": "one\ntwo\nthree", "new": "one\n2\nthree"}
    async with (
        layby_running(app_of(calls(("change", change)), says("Done."))) as rt,
        console_on(rt.settings) as console,
    ):
        question = await ask(rt, agent=True)
        async with tab(console, f"/inbox/{question.id}") as page:
            assert (await page.locator(".diff del").inner_text()).strip() == "- two"
            assert (await page.locator(".diff ins").inner_text()).strip() == "+ 2"
            await check_axe(page)


async def test_a_phone_shows_the_list_then_one_question_with_a_way_back(
    layby_running: Any, tab: OpenPage
) -> None:
    async with layby_running(app_of()) as rt, console_on(rt.settings) as console:
        await ask(rt, form="report", question="How bad is it? " * 8)
        async with tab(console, "/inbox", **PHONE) as page:
            assert not await page.locator("article").is_visible()
            await page.locator("#questions a").click()
            await page.locator("article").wait_for()
            assert not await page.locator("#questions").is_visible()
            wide = "document.documentElement.scrollWidth <= window.innerWidth"
            assert await page.evaluate(wide)
            await check_axe(page)
            await page.get_by_role("link", name="All questions").click()
            await page.locator("#questions a").wait_for()
            assert await page.evaluate(wide)


async def test_the_history_shows_who_answered_what(layby_running: Any, tab: OpenPage) -> None:
    async with layby_running(app_of()) as rt, console_on(rt.settings) as console:
        for ticket, by in (("T1", "ada"), ("T2", "bob")):
            question = await ask(rt, ticket, question=f"About {ticket}?")
            await rt.client.answer(ticket, f"{by} says so", by=by, question_id=question.id)
            await rt.result()
        async with tab(console, "/inbox/history") as page:
            await page.get_by_text("About T2?").wait_for()
            assert await page.locator(".past > li").count() == 2
            await page.get_by_placeholder("Answered by").fill("ada")
            await page.keyboard.press("Enter")
            await page.wait_for_url("**by=ada**")
            assert await page.get_by_text("ada says so").is_visible()
            assert await page.locator(".past > li").count() == 1
            await check_axe(page)


async def test_a_read_only_console_shows_and_does_not_answer(
    layby_running: Any, tab: OpenPage
) -> None:
    async with (
        layby_running(app_of()) as rt,
        console_on(rt.settings, read_only=True) as console,
    ):
        question = await ask(rt)
        async with tab(console, f"/inbox/{question.id}", allow=("403",)) as page:
            assert await page.get_by_text("This console is read-only").is_visible()
            assert await page.locator("form.answer").count() == 0
            sent = await page.evaluate(
                "path => fetch(path, {method: 'POST', body: new URLSearchParams({text: 'x'})})"
                ".then(answer => answer.status)",
                f"{console.url}/inbox/{question.id}",
            )
            assert sent == 403
        assert json.loads("[]") == (await rt.client.decision(question.id)).answers


async def test_a_claim_is_shown_without_a_reload(layby_running: Any, tab: OpenPage) -> None:
    async with layby_running(app_of()) as rt, console_on(rt.settings) as console:
        question = await ask(rt)
        path = f"/inbox/{question.id}"
        async with tab(console, path) as one, tab(console, path, java_script_enabled=False) as two:
            who = one.locator(f"#q-who-{question.id}")
            await who.get_by_text("Nobody").wait_for()
            await one.get_by_label("Your answer").fill("half an answer")
            await two.get_by_role("button", name="I'm on it").click()
            await two.get_by_role("button", name="Release").wait_for()
            await who.get_by_role("button", name="Release").wait_for()
            assert await one.get_by_label("Your answer").input_value() == "half an answer"
            await who.get_by_role("button", name="Release").click()
            await one.locator(f"#q-who-{question.id}").get_by_text("Nobody").wait_for()
            await rt.client.claim("T1", by="bob", role=question.role)
            await one.get_by_text("bob is on it").wait_for()
            assert await one.get_by_role("button", name="I'm on it").is_disabled()
            await check_axe(one)
            await one.get_by_text("Pass on…").click()
            await one.get_by_label("To whom").fill("person:eve")
            await one.get_by_role("button", name="Pass on").click()
            await one.get_by_text("passed it to person:eve").first.wait_for()
