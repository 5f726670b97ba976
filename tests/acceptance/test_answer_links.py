"""Links in mails that answer, over real HTTP."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

import pytest

from layby import Agent, App, Step, tool
from layby.actors.people.answer_link import AnswerLink, LinkKeys
from layby.channels import email
from layby.client.desk import AnswerDesk
from layby.console.pages import inbox_source
from tests.acceptance.test_console_guard import FORM, Reply, Visitor
from tests.engine import Engine, until
from tests.engine import desk as bare_desk
from tests.fix_browser import console_on
from tests.fix_smtp import PostOffice
from tests.scripted import Scripted, calls, results, says

pytestmark = pytest.mark.nats
WITHIN = 20.0
KEY, OLD = "k" * 32, "o" * 40
KEYS = LinkKeys(KEY)


def desk() -> App:
    app = App("desk", roles=["developer", "boss"])
    forms: dict[str, Any] = {"choice": Literal["now", "later"], "bool": bool, "whole": int}

    @app.workflow(on="ticket.created", key="ticket", name="desk")
    async def work(event: dict[str, Any], step: Step) -> dict[str, Any]:
        options = event.get("options", {})
        answer = await step.ask(
            "developer",
            f"What about {event['ticket']}?",
            context="<b>It</b> is urgent.",
            answer=forms.get(event.get("form", ""), str),
            **options,
        )
        return {
            "value": answer.value,
            "by": answer.by,
            "vouched": answer.vouched,
            "votes": [each.vouched for each in answer.votes],
        }

    return app


def refunds() -> App:
    """An agent whose tool needs approval."""

    @tool(needs_approval=True)
    async def refund(cents: int, note: str) -> str:
        """Give a customer money back."""
        return f"{cents} paid back, {note}"

    model = Scripted(calls(("refund", {"cents": 900, "note": "<i>one</i>"})), _last)
    return bare_desk(Agent("Clerk", tools=[refund], model=model))


def _last(request: Any) -> Any:
    [result] = results(request)
    return says(result.content)


@dataclass
class Scene:
    """A worker, a console, and somebody with a browser."""

    rt: Any
    visitor: Visitor

    async def asked(self, ticket: str, **event: Any) -> Any:
        """A question, once it is there."""
        await self.rt.send("ticket.created", {"ticket": ticket, **event})
        [row] = await until(lambda: self.rt.client.questions(ticket=ticket), WITHIN)
        return row

    async def get(self, path: str, **headers: str) -> Reply:
        return await self.visitor.ask("GET", path, b"", **headers)

    async def press(self, path: str, *, headers: Any = {}, **fields: str) -> Reply:  # noqa: B006
        body = urlencode(fields).encode()
        return await self.visitor.ask("POST", path, body, Content_Type=FORM, **headers)


def link_to(row: Any, by: Any = KEYS, **changes: Any) -> str:
    said: dict[str, Any] = {
        "question": row.id,
        "role": row.role,
        "ticket": row.ticket,
        "digest": row.digest,
        "person": "ada",
        "act": "open",
        "until": int(time.time()) + 3_600,
    }
    return f"/answer/{by.token(AnswerLink(**{**said, **changes}))}"


@pytest.fixture
async def scene(layby_running: Any) -> AsyncIterator[Scene]:
    async with layby_running(desk()) as rt, console_on(rt.settings, links=KEYS) as serving:
        yield Scene(rt, Visitor(serving))


async def test_a_link_answers_in_the_name_of_its_person(scene: Scene) -> None:
    row = await scene.asked("T1", form="choice")
    link = link_to(row, act="choose", choice="later")
    page = await scene.get(link)
    assert page.status == 200
    assert "What about T1?" in page.body
    assert "&lt;b&gt;It&lt;/b&gt; is urgent." in page.body
    assert "Answer: later" in page.body
    assert "set-cookie" not in page.headers
    reply = await scene.press(link)
    assert reply.status == 200
    assert "Your answer counts" in reply.body
    result = await scene.rt.result("T1")
    assert result == {"value": "later", "by": "ada", "vouched": "link", "votes": []}


async def test_opening_a_link_changes_nothing(scene: Scene) -> None:
    """Virus scanners and previews open every link, several times, and with any headers."""
    row = await scene.asked("T1", form="bool")
    link = link_to(row, act="choose", choice="yes")
    before = await scene.rt.client.show(row.run)
    headers: list[dict[str, str]] = [{}, {"Purpose": "prefetch"}, {"User_Agent": "Mail scanner"}]
    scans = [
        scene.visitor.ask(method, f"{link}{query}", b"", **each)
        for method in ("GET", "HEAD")
        for query in ("", "?x=1", "?answer=yes&_do=send")
        for each in headers
    ]
    assert {reply.status for reply in await asyncio.gather(*scans)} == {200}
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        assert (await scene.visitor.ask(method, link, Layby_Console="1")).status == 405
    assert await scene.rt.client.show(row.run) == before
    assert (await scene.press(link)).status == 200


async def test_a_second_press_learns_that_the_first_answer_counts(scene: Scene) -> None:
    row = await scene.asked("T1", form="bool")
    yes, no = (link_to(row, act="choose", choice=each) for each in ("yes", "no"))
    replies = await asyncio.gather(scene.press(yes), scene.press(yes), scene.press(yes))
    assert sorted(reply.status for reply in replies) == [200, 409, 409]
    for link in (yes, no):
        reply = await _until_told(partial(scene.press, link), "You have answered")
        assert reply.status == 409
    assert (await scene.rt.result("T1"))["value"] is True


async def test_a_late_responder_learns_who_won(scene: Scene) -> None:
    row = await scene.asked("T1")
    link = link_to(row, person="bob")
    assert (await scene.rt.answer("T1", "Fixed in v1.1.4", by="carl")).outcome == "accepted"
    page = await _until_told(lambda: scene.get(link), "has answered")
    assert "carl" in page.body
    assert "Fixed in v1.1.4" in page.body
    assert "<form" not in page.body
    reply = await scene.press(link, text="Mine")
    assert reply.status == 409
    assert "carl" in reply.body


async def test_the_race_is_decided_by_the_receipt(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page was open when somebody else answered, and the console does not know it yet."""
    row = await scene.asked("T1")
    before = await scene.visitor.serving.console.catalogue.question_soon(row.id)
    assert before is not None
    await scene.rt.answer("T1", "Fixed", by="carl")

    async def stale(*_: Any) -> Any:
        return inbox_source.as_thread(before)

    monkeypatch.setattr(inbox_source, "thread_soon", stale)
    reply = await scene.press(link_to(row), text="Mine")
    assert reply.status == 409
    assert "<bdi>carl</bdi> was faster" in reply.body


async def test_any_answer_can_be_typed(scene: Scene) -> None:
    row = await scene.asked("T1")
    empty = await scene.press(link_to(row))
    assert empty.status == 422
    assert "Write an answer" in empty.body
    assert (await scene.press(link_to(row), text="Fixed; see <docs>")).status == 200
    assert (await scene.rt.result("T1"))["value"] == "Fixed; see <docs>"


async def test_a_form_is_checked_and_keeps_what_was_typed(scene: Scene) -> None:
    row = await scene.asked("T1", form="whole")
    page = await scene.get(link_to(row))
    [name] = set(re.findall(r'<input id="[^"]*" name="([^"]+)"', page.body))
    wrong = await scene.press(link_to(row), **{name: "many"})
    assert wrong.status == 422
    assert 'value="many"' in wrong.body
    assert (await scene.press(link_to(row), **{name: "12"})).status == 200
    assert (await scene.rt.result("T1"))["value"] == 12


async def test_a_link_that_was_changed_is_refused(scene: Scene) -> None:
    row = await scene.asked("T1")
    good = link_to(row)
    id_, said, mac = good.removeprefix("/answer/").split(".")
    other = link_to(row, person="eve").removeprefix("/answer/").split(".")[1]
    for token, status in (
        (f"{id_}.{other}.{mac}", 403),
        (f"{id_}.{said}.{mac[:-1]}{'A' if mac[-1] != 'A' else 'B'}", 403),
        (f"{id_}.{said}.{'A' * 43}", 403),
        (f"{id_}.{said}", 404),
        (f"{id_}.{said}.{mac}.", 404),
        (f"{id_}.{said}.{mac}%00", 404),
        (f"{id_}.{said}.{mac}%0a", 404),
        (f"{id_}..{mac}", 404),
        ("%ff", 404),
        ("..", 404),
        ("x" * 20_000, 404),
        (f"AAAAAAAA.{said}.{mac}", 410),
    ):
        for reply in (
            await scene.get(f"/answer/{token}"),
            await scene.press(f"/answer/{token}", text="Mine"),
        ):
            assert reply.status == status, token
            assert "T1" not in reply.body
    [still] = await scene.rt.client.questions(ticket="T1")
    assert still.id == row.id


async def test_keys_change_one_after_the_other(layby_running: Any) -> None:
    async with layby_running(desk()) as rt:
        async with console_on(rt.settings, links=LinkKeys(KEY, OLD)) as serving:
            scene = Scene(rt, Visitor(serving))
            row = await scene.asked("T1")
            old = link_to(row, LinkKeys(OLD))
            assert (await scene.get(old)).status == 200
            assert (await scene.get(link_to(row, LinkKeys(KEY)))).status == 200
        async with console_on(rt.settings, links=LinkKeys(KEY)) as serving:
            reply = await Scene(rt, Visitor(serving)).get(old)
            assert reply.status == 410
            assert "too old" in reply.body
        async with console_on(rt.settings) as serving:
            reply = await Scene(rt, Visitor(serving)).get(old)
            assert reply.status == 404
            assert "LAYBY_LINK_KEY" in reply.body


async def test_a_link_shows_nothing_after_its_end(scene: Scene) -> None:
    row = await scene.asked("T1")
    ended = link_to(row, until=int(time.time()) - 1)
    for reply in (await scene.get(ended), await scene.press(ended, text="Mine")):
        assert reply.status == 410
        assert "T1" not in reply.body


async def test_a_link_is_for_one_question_only(scene: Scene) -> None:
    one, two = await scene.asked("T1"), await scene.asked("T2")
    others: list[dict[str, Any]] = [
        {"ticket": "T2"},
        {"role": "boss"},
        {"digest": "3f9a1c07be55"},
        {"act": "approve"},
        {"act": "reject"},
    ]
    for changes in others:
        reply = await scene.press(link_to(one, **changes), text="Mine")
        assert reply.status == 409, changes
    assert (await scene.press(link_to(one, question="q0000000000000"), text="x")).status == 404
    assert {each.id for each in await scene.rt.client.questions()} == {one.id, two.id}


async def test_other_sites_and_names_are_refused(scene: Scene) -> None:
    row = await scene.asked("T1")
    link = link_to(row)
    others: list[dict[str, str]] = [
        {"Origin": "https://evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site", "Origin": "null"},
        {"Host": "evil.example"},
    ]
    for headers in others:
        assert (await scene.press(link, headers=headers, text="x")).status == 403
    assert (await scene.get(link, Host="evil.example")).status == 403
    page = await scene.get(link, Sec_Fetch_Site="cross-site")
    assert page.status == 200
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    assert "form-action 'self'" in page.headers["content-security-policy"]
    style = await scene.get("/answer/layby.css")
    assert (style.status, style.headers["content-type"][:8]) == (200, "text/css")
    own = {"Origin": "null", "Sec_Fetch_Site": "same-origin"}
    assert (await scene.press(link, headers=own, text="x")).status == 200


async def test_a_body_that_is_too_large_is_refused(scene: Scene) -> None:
    link = link_to(await scene.asked("T1"))
    assert (await scene.press(link, text="x" * (2 << 20))).status == 413
    assert (await scene.press(link, text="x" * 100_000)).status == 422
    many = urlencode([(f"f{n}", "x") for n in range(30_000)]).encode()
    assert (await scene.visitor.ask("POST", link, many, Content_Type=FORM)).status == 400


async def test_a_link_is_in_no_log(
    scene: Scene, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = link_to(await scene.asked("T1"))

    async def broken(*_: Any) -> Any:
        raise RuntimeError("a fault")

    with caplog.at_level("DEBUG"):
        await scene.get(link)
        with monkeypatch.context() as patch:
            patch.setattr(inbox_source, "thread_soon", broken)
            assert (await scene.get(link)).status == 500
        await scene.press(link, text="Fixed")
    # uvicorn logs no requests unless somebody adds a handler, which pytest does.
    lines = [each.getMessage() for each in caplog.records if each.name != "uvicorn.access"]
    assert "console.page_failed path='/answer/...'" in lines
    assert not [line for line in lines if link.rpartition(".")[2] in line]


async def test_a_console_that_is_read_only_answers_nothing(layby_running: Any) -> None:
    async with (
        layby_running(desk()) as rt,
        console_on(rt.settings, links=KEYS, read_only=True) as serving,
    ):
        scene = Scene(rt, Visitor(serving))
        link = link_to(await scene.asked("T1"))
        assert (await scene.get(link)).status == 200
        assert (await scene.press(link, text="x")).status == 403


async def test_a_vote_by_a_link_counts_where_the_question_says_so(scene: Scene) -> None:
    row = await scene.asked("T1", form="bool", options={"quorum": 2, "accept": ["nats", "link"]})
    ada, bob = (
        link_to(row, act="choose", choice="yes", person=person) for person in ("ada", "bob")
    )
    first = await scene.press(ada)
    assert first.status == 200
    assert "Your vote counts" in first.body
    again = await _until_told(lambda: scene.press(ada), "You have voted")
    assert again.status == 409
    assert (await scene.press(bob)).status == 200
    assert (await scene.rt.result("T1"))["votes"] == ["link", "link"]


async def test_a_vote_by_a_link_is_refused_where_it_does_not(scene: Scene) -> None:
    row = await scene.asked("T1", form="bool", options={"quorum": 2})
    reply = await scene.press(link_to(row, act="choose", choice="yes"))
    assert reply.status == 422
    assert "Not accepted" in reply.body


async def test_a_question_in_a_mail_is_answered_by_its_link(
    scene: Scene, office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAYBY_LINK_KEY", f"{KEY} {OLD}")
    monkeypatch.setenv("LAYBY_CONSOLE_URL", scene.visitor.serving.url)
    row = await scene.asked("T/1 ä", form="choice")
    console = scene.visitor.serving.console
    card = await AnswerDesk(console.connection, console.requests).card(row.ticket, row.id, row.role)
    assert card is not None
    await email(people={"ada": "ada@acme.example"}).send(card)
    links: list[str] = re.findall(r"^http://\S+$", office.mails[0].part("plain"), re.MULTILINE)
    path = str(urlsplit(links[1]).path)
    assert "Answer: later" in (await scene.get(path)).body
    assert (await scene.press(path)).status == 200
    assert (await scene.rt.result("T/1 ä"))["value"] == "later"


@pytest.mark.parametrize(
    ("act", "said"), [("approve", "900 paid back, <i>one</i>"), ("reject", "the customer agreed")]
)
async def test_a_link_rules_on_exactly_one_call(engine: Engine, act: str, said: str) -> None:
    async with (
        engine.works(refunds()),
        console_on(engine.settings, links=KEYS) as serving,
    ):
        run = await engine.start()
        row = await engine.question()
        visitor = Visitor(serving)
        wrong = link_to(row, act=act, digest="3f9a1c07be55")
        assert (await visitor.ask("GET", wrong)).status == 409
        link = link_to(row, act=act)
        page = await visitor.ask("GET", link)
        assert "&lt;i&gt;one&lt;/i&gt;" in page.body
        assert row.digest in page.body
        body = urlencode({"text": "because the customer agreed"}).encode()
        assert (await visitor.ask("POST", link, body, Content_Type=FORM)).status == 200
        assert said in str(await engine.result(run))


async def _until_told(ask: Callable[[], Awaitable[Reply]], text: str) -> Reply:
    """The first reply that says this: the console reads what has happened a moment later."""

    async def told() -> Reply | None:
        found = await ask()
        return found if text in found.body else None

    reply = await until(told, WITHIN)
    assert reply is not None
    return reply
