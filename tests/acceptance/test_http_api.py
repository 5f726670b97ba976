"""The console's HTTP API as a program meets it: a real worker, console and connections."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from layby import Agent, App, NonRetriableError, Step
from layby.bus.errors import PublishUnconfirmed
from layby.console.api import stream
from layby.console.catalogue.catalogue import Catalogue
from layby.console.login.session import Rights
from layby.console.server import Serving
from layby.testing import History, ScriptedModel, TestRuntime, replay, says
from tests.fix_browser import console_on
from tests.fix_nats import eventually
from tests.http_api import Api, taken

pytestmark = [pytest.mark.nats, pytest.mark.slow]


def desk() -> App:
    """An app whose tickets ask a person, and whose payments fail."""
    app = App("desk")

    @app.workflow(on="desk.ticket.opened", key="ticketId")
    async def handle(event: dict[str, Any], step: Step) -> dict[str, str]:
        answer = await step.ask("developer", f"What about {event['ticketId']}?")
        return {"said": answer.text, "by": answer.by}

    @app.workflow(on="desk.payment.due", key="id")
    async def pay(event: dict[str, Any], step: Step) -> str:
        def broken() -> str:
            raise NonRetriableError(f"the bank is closed to {event['id']}")

        return await step.run("pay", broken)

    del handle, pay
    return app


class Served(NamedTuple):
    """A console that is asked."""

    api: Api
    rt: TestRuntime
    console: Serving


@asynccontextmanager
async def served(layby_running: Any, *, workers: int = 1, **options: Any) -> AsyncGenerator[Served]:
    async with (
        layby_running(desk(), workers=workers) as rt,
        console_on(rt.settings, **options) as console,
    ):
        yield Served(Api(console), rt, console)


async def opened(at: Served, ticket: str) -> str:
    """The run of a new ticket, once it asks."""
    sent = await at.api.post(
        "/events", {"subject": "desk.ticket.opened", "data": {"ticketId": ticket}}
    )
    assert sent.status == 200, sent.body
    assert sent.json["workflows"] == ["handle"]
    (run,) = sent.json["runs"]
    return str(run["id"])


async def asked(at: Served, ticket: str) -> dict[str, Any]:
    """The open question on a ticket, once it is listed."""
    found = await at.api.until("/questions", lambda page: page["questions"], ticket=ticket)
    question: dict[str, Any] = found["questions"][0]
    return question


async def test_a_ticket_goes_from_event_to_answer(layby_running: Any) -> None:
    async with served(layby_running) as at:
        run = await opened(at, "T1")
        question = await asked(at, "T1")
        assert (question["role"], question["run"]) == ("developer", run)
        stats = await at.api.until("/stats", lambda stats: stats["questions"])
        assert stats["questions"] == [
            {"role": "developer", "open": 1, "oldest": question["asked_at"]}
        ]
        receipt = await at.api.post(f"/questions/{question['id']}/answer", {"answer": "Fixed"})
        assert receipt.status == 200, receipt.body
        assert receipt.json["outcome"] == "accepted"
        await at.rt.ended(run)
        detail = (await at.api.get(f"/runs/{run}")).json
        assert detail["status"] == "completed"
        assert detail["result"] == {"said": "Fixed", "by": receipt.json["by"]}
        thread = await at.api.until(
            f"/questions/{question['id']}", lambda thread: thread["answers"]
        )
        assert thread["status"] == "answered"
        assert [each["outcome"] for each in thread["answers"]] == ["accepted"]


async def test_a_question_is_claimed_passed_on_and_declined(layby_running: Any) -> None:
    async with served(layby_running) as at:
        await opened(at, "T1")
        place = f"/questions/{(await asked(at, 'T1'))['id']}"
        claimed = await at.api.post(f"{place}/claim", {"minutes": 60})
        assert claimed.status == 200, claimed.body
        assert (claimed.json["outcome"], claimed.json["act"]) == ("recorded", "claim")
        thread = await at.api.until(place, lambda thread: thread["question"]["claim"])
        assert thread["question"]["claim"]["until"] == claimed.json["until"]
        assert (thread["status"], thread["answers"]) == ("open", []), "it is no answer"
        await at.rt.client.claim("T1", by=claimed.json["by"], minutes=0)
        await at.rt.client.claim("T1", by="bob")
        lost = await at.api.post(f"{place}/claim")
        assert lost.status == 409
        assert lost.json["receipt"]["by"] == "bob"
        assert (await at.api.post(f"{place}/pass", {"to": "person:bob"})).status == 200
        nobody = await at.api.post(f"{place}/pass", {"to": "role:nobody"})
        assert nobody.status == 422
        assert "no role" in nobody.json["detail"]
        for wrong in ({"minutes": -1}, {"minutes": 1441}, {"hours": 1}):
            assert (await at.api.post(f"{place}/claim", wrong)).status == 422
        assert (await at.api.post(f"{place}/pass", {"to": "bob"})).status == 422
        assert (await at.api.post(f"{place}/decline")).status == 200
        thread = await at.api.until(place, lambda thread: thread["question"]["declined"])
        assert thread["question"]["declined"] == [claimed.json["by"]]
        for text in ("", " ", "x" * 2_001):
            assert (await at.api.post(f"{place}/ask-back", {"text": text})).status == 422
        back = await at.api.post(f"{place}/ask-back", {"text": "Since when?"})
        assert (back.status, back.json["act"]) == (200, "ask-back")
        thread = await at.api.until(place, lambda thread: thread["question"]["asked_back"])
        assert thread["question"]["asked_back"][0]["text"] == "Since when?"
        assert thread["answers"] == [], "it is no answer"
        await at.rt.answer("T1", "Fixed", question_id=thread["question"]["id"])
        late = await at.api.post(f"{place}/claim")
        assert late.status == 409
        assert late.json["receipt"]["outcome"] == "already_answered"


async def test_closed_questions_are_listed_with_who_answered(layby_running: Any) -> None:
    async with served(layby_running) as at:
        for ticket in ("T1", "T2", "T3"):
            await opened(at, ticket)
        ids = {ticket: (await asked(at, ticket))["id"] for ticket in ("T1", "T2", "T3")}
        receipt = await at.api.post(f"/questions/{ids['T1']}/answer", {"answer": "Fixed"})
        me = receipt.json["by"]
        await at.rt.answer("T2", "yes", by="bob")
        closed = await at.api.until(
            "/questions", lambda page: len(page["answers"]) == 2, state="closed"
        )
        assert [each["id"] for each in closed["questions"]] == [ids["T2"], ids["T1"]]
        assert {each["status"] for each in closed["questions"]} == {"answered"}
        assert (closed["total"], closed["next"]) == (2, None)
        assert {id_: each["by"] for id_, each in closed["answers"].items()} == {
            ids["T1"]: me,
            ids["T2"]: "bob",
        }
        bobs = (await at.api.get("/questions", by="bob")).json
        assert bobs == (await at.api.get("/questions", by="bob", state="all")).json
        assert (await at.api.get("/questions", by="bob", state="open")).json["total"] == 0
        assert ([each["ticket"] for each in bobs["questions"]], bobs["total"]) == (["T2"], 1)
        seen: list[str] = []
        page = (await at.api.get("/questions", state="all", limit=1)).json
        while True:
            seen += [each["ticket"] for each in page["questions"]]
            assert page["total"] == 3
            if page["next"] is None:
                break
            cursor = page["next"]
            page = (await at.api.get("/questions", state="all", limit=1, cursor=cursor)).json
        assert seen == ["T3", "T2", "T1"]
        only = (await at.api.get("/questions")).json
        assert [each["ticket"] for each in only["questions"]] == ["T3"]


async def test_pages_show_every_run_once(layby_running: Any) -> None:
    async with served(layby_running) as at:
        for number in range(7):
            await opened(at, f"T{number}")
        await at.api.until("/stats", lambda stats: stats["runs"].get("waiting") == 7)
        found: list[str] = []
        query: dict[str, Any] = {"status": ["waiting", "running"], "limit": 3}
        page = (await at.api.get("/runs", **query)).json
        first = page
        assert page["previous"] is None
        while True:
            found += [row["ticket"] for row in page["runs"]]
            if page["next"] is None:
                break
            page = (await at.api.get("/runs", **query, cursor=page["next"])).json
        assert found == [f"T{number}" for number in (6, 5, 4, 3, 2, 1, 0)]
        back = (await at.api.get("/runs", **query, cursor=page["previous"])).json
        back = (await at.api.get("/runs", **query, cursor=back["previous"])).json
        assert back["runs"] == first["runs"]


async def test_filters_leave_the_runs_that_were_asked_for(layby_running: Any) -> None:
    async with served(layby_running) as at:
        await opened(at, "T1")
        await at.api.post("/events", {"subject": "desk.payment.due", "data": {"id": "P1"}})
        await at.api.until("/stats", lambda stats: stats["runs"] == {"waiting": 1, "failed": 1})

        async def tickets(**query: Any) -> list[str]:
            reply = await at.api.get("/runs", **query)
            assert reply.status == 200, reply.body
            return [row["ticket"] for row in reply.json["runs"]]

        assert await tickets() == ["P1", "T1"]
        assert await tickets(status="failed") == ["P1"]
        assert await tickets(workflow="handle") == ["T1"]
        assert await tickets(ticket="P1") == ["P1"]
        assert await tickets(role="developer") == ["T1"]
        assert await tickets(text="WHAT ABOUT") == ["T1"]
        assert await tickets(time="ended") == ["P1"]
        assert await tickets(since="2199-01-01T00:00:00Z") == []
        assert await tickets(until="2199-01-01T00:00:00+02:00") == ["P1", "T1"]
        assert await tickets(label="tier:gold") == []


async def test_a_cut_stream_goes_on_with_each_event_once(layby_running: Any) -> None:
    async with served(layby_running) as at:
        run = await opened(at, "T1")
        async with at.api.stream(f"/runs/{run}/events") as events:
            before = await taken(events, 2)
        question = await asked(at, "T1")
        async with at.api.stream(f"/runs/{run}/events", last=before[-1].id) as events:
            await at.api.post(f"/questions/{question['id']}/answer", {"answer": "Fixed"})
            after = [event async for event in events]
        assert before[0].type == "run.started"
        assert after[-1].type == "run.ended"
        assert after[-1].data["result"]["said"] == "Fixed"
        async with at.api.stream(f"/runs/{run}/events") as events:
            whole = [event async for event in events]
        assert before + after == whole
        assert len({event.id for event in whole}) == len(whole)
        assert all(event.data["type"] == event.type for event in whole)
        for place, event in enumerate(whole[:-1]):
            async with at.api.stream(f"/runs/{run}/events?after={event.id}") as events:
                assert [each async for each in events] == whole[place + 1 :]
        headers = {**at.api.login, "Last-Event-ID": whole[-1].id}
        nothing_more = await at.api.ask("GET", f"/runs/{run}/events", headers=headers)
        assert nothing_more.status == 204  # a browser then stays away


async def test_a_stream_that_says_nothing_is_kept_open_by_comments(
    layby_running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "BEAT", 0.05)
    async with served(layby_running) as at:
        run = await opened(at, "T1")
        async with at.api.chunks(f"/runs/{run}/events") as chunks:
            said = b""
            while said.count(b"\n\n: ") < 2:
                said += await anext(chunks)
        assert b": still here" in said


async def test_a_reader_that_leaves_leaves_nothing_behind(layby_running: Any) -> None:
    async with served(layby_running) as at:
        run = await opened(at, "T1")
        subscriptions = at.console.console.connection.nc._subs
        before = len(subscriptions)
        async with at.api.stream(f"/runs/{run}/events") as events:
            await taken(events, 1)
            assert len(subscriptions) > before
        await eventually(lambda: len(subscriptions) == before)


async def test_a_stream_that_cannot_go_on_says_why(
    layby_running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(self: Catalogue, run: str) -> None:
        raise PublishUnconfirmed(f"no answer about {run} from nats://ada:secret@host {self!r:.0}")

    monkeypatch.setattr(Catalogue, "run", broken)
    async with served(layby_running) as at, at.api.stream("/feed") as changes:
        await taken(changes, 1)
        run = await opened(at, "T1")
        last = [event async for event in changes][-1]
    assert (last.type, last.data["status"]) == ("problem", 503)
    assert last.data["detail"] == f"no answer about {run} from nats://host "


async def test_the_feed_tells_what_changes_and_what_was_missed(layby_running: Any) -> None:
    async with served(layby_running) as at:
        async with at.api.stream("/feed") as changes:
            (reset,) = await taken(changes, 1)
            assert reset.type == "reset"
            run = await opened(at, "T1")
            seen: list[Any] = []
            while {"run", "question"} - {each.type for each in seen}:
                seen += await taken(changes, 1)
        assert all(each.data["id"] == run for each in seen if each.type == "run")
        question = await asked(at, "T1")
        await at.api.post(f"/questions/{question['id']}/answer", {"answer": "Fixed"})
        await at.api.until(f"/runs/{run}", lambda detail: detail["status"] == "completed")
        async with at.api.stream("/feed", last=seen[-1].id) as changes:
            missed = await taken(changes, 1)
            while missed[-1].type != "run" or missed[-1].data["status"] != "completed":
                missed += await taken(changes, 1)
        assert "reset" not in {each.type for each in missed}
        told = [each.id for each in (*seen, *missed)]
        assert len(set(told)) == len(told)
        another = f"{'0' * 8}-{missed[-1].id.partition('-')[2]}"  # of a console before this one
        async with at.api.stream("/feed", last=another) as changes:
            (reset,) = await taken(changes, 1)
        assert reset.type == "reset"


async def test_one_of_two_answers_wins_and_the_other_learns_who_won(layby_running: Any) -> None:
    async with served(layby_running) as at:
        await opened(at, "T1")
        place = f"/questions/{(await asked(at, 'T1'))['id']}/answer"
        replies = await asyncio.gather(
            *(at.api.post(place, {"answer": text}) for text in ("one", "two"))
        )
        assert sorted(reply.status for reply in replies) == [200, 409]
        lost = max(replies, key=lambda reply: reply.status)
        won = min(replies, key=lambda reply: reply.status)
        assert lost.headers["content-type"] == "application/problem+json"
        assert lost.json["receipt"]["outcome"] == "already_answered"
        assert lost.json["receipt"]["by"] == won.json["by"]


async def test_an_answer_that_does_not_fit_is_refused_with_its_receipt(layby_running: Any) -> None:
    async with served(layby_running) as at:
        await opened(at, "T1")
        place = f"/questions/{(await asked(at, 'T1'))['id']}/answer"
        for answer in ("  ", {"fixed": True}, ["Fixed"]):
            reply = await at.api.post(place, {"answer": answer})
            assert (reply.status, reply.json["receipt"]["outcome"]) == (422, "invalid"), answer
        silence = await at.api.post(place, {"answer": None})
        assert (silence.status, silence.json["parameter"]) == (422, "answer")
        assert (await asked(at, "T1"))["status"] == "open"


async def test_a_form_takes_json(layby_running: Any) -> None:
    app = App("desk")

    @app.workflow(on="desk.ticket.opened", key="ticketId")
    async def handle(event: dict[str, Any], step: Step) -> int:
        return (await step.ask("developer", event["ticketId"], answer=list[int])).value[0]

    del handle
    async with layby_running(app) as rt, console_on(rt.settings) as console:
        api = Api(console)
        run = await rt.send("desk.ticket.opened", {"ticketId": "T1"})
        question = await rt.question()
        place = f"/questions/{question.id}/answer"
        assert (await api.post(place, {"answer": ["many"]})).status == 422
        assert (await api.post(place, {"answer": [7]})).status == 200
        assert await rt.result(run) == 7


async def test_runs_are_cancelled_and_retried(layby_running: Any) -> None:
    async with served(layby_running) as at:
        run = await opened(at, "T1")
        reply = await at.api.post(f"/runs/{run}/cancel", {"reason": "a mistake"})
        assert (reply.status, reply.json["status"]) == (200, "cancelled")
        again = await at.api.post(f"/runs/{run}/cancel")
        assert (again.status, again.json["type"]) == (409, "urn:layby:problem:run-over")
        assert (await at.api.post(f"/runs/{run}/retry")).status == 409
        sent = await at.api.post("/events", {"subject": "desk.payment.due", "data": {"id": "P1"}})
        failed = sent.json["runs"][0]["id"]
        assert (await at.rt.ended(failed)).status == "failed"
        retried = await at.api.post(f"/runs/{failed}/retry", {"reason": "it is open"})
        assert (retried.status, retried.json["id"]) == (200, failed)
        trail = await at.rt.client.audit()
        assert [(row.verb, row.why) for row in trail if row.outcome == "done"] == [
            ("retry", "it is open"),
            ("cancel", "a mistake"),
        ]


async def test_what_no_worker_does_yet_is_202_with_its_number(layby_running: Any) -> None:
    async with served(layby_running, workers=0) as at:
        async with at.rt.worker():
            run = await opened(at, "T1")
            question = await asked(at, "T1")
        reply = await at.api.post(f"/runs/{run}/cancel")
        assert (reply.status, reply.json["type"]) == (202, "urn:layby:problem:not-done-yet")
        (command,) = await at.rt.client.audit()
        assert reply.json["seq"] == command.id
        answered = await at.api.post(f"/questions/{question['id']}/answer", {"answer": "Fixed"})
        assert (answered.status, answered.json["type"]) == (202, "urn:layby:problem:no-receipt")
        assert answered.json["seq"] == 1


async def test_a_history_from_here_replays(layby_running: Any, tmp_path: Any) -> None:
    async with served(layby_running) as at:
        run = await opened(at, "T1")
        await at.rt.answer(run, "Fixed")
        await at.rt.ended(run)
        reply = await at.api.get(f"/runs/{run}/history")
        file = tmp_path / "history.json"
        file.write_bytes(reply.body)
        assert History.load(file) == await at.rt.record(run)
        assert "attachment" in reply.headers["content-disposition"]
        await replay(at.rt.app, file)


async def test_what_a_model_was_sent_is_shown(layby_running: Any) -> None:
    clerk = Agent("Clerk", system="Help.", model=ScriptedModel([says("It is on its way.")]))
    app = App("desk", agents=[clerk])

    @app.workflow(on="desk.ticket.opened", key="ticketId")
    async def handle(event: dict[str, Any], step: Step) -> str:
        return (await step.agent(clerk, f"Where is {event['ticketId']}?")).text

    del handle
    async with layby_running(app) as rt, console_on(rt.settings) as console:
        api = Api(console)
        run = await rt.send("desk.ticket.opened", {"ticketId": "T1"})
        await rt.ended(run)
        async with api.stream(f"/runs/{run}/events") as events:
            (response,) = [each async for each in events if each.type == "model.responded"]
        step = quote(response.data["step"], safe="")
        reply = await api.get(f"/runs/{run}/prompts/{step}")
        assert (reply.status, reply.json["system"]) == (200, "Help."), reply.body
        assert reply.json["messages"][0]["parts"][0]["text"] == "Where is T1?"
        assert (await api.get(f"/runs/{run}/prompts/{reply.json['n']}")).json == reply.json
        none = await api.get(f"/runs/{run}/prompts/nothing")
        assert (none.status, none.json["type"]) == (404, "urn:layby:problem:no-such-prompt")


async def test_dead_letters_are_listed_retried_and_dropped(layby_running: Any) -> None:
    async with served(layby_running) as at:
        for body in ('{"ticket": 1}', "no JSON"):
            await at.rt.client.send("desk.ticket.opened", body.encode())
        listed = await at.api.until("/dead", lambda page: page["total"] == len(page["dead"]) == 2)
        assert (await at.api.get("/stats")).json["dead"] == 2
        newest, oldest = listed["dead"]
        assert (newest["id"], newest["body"]) == (2, "no JSON")
        retried = await at.api.post(f"/dead/{oldest['id']}/retry")
        assert (retried.status, retried.json["type"]) == (409, "urn:layby:problem:cannot-retry")
        dropped = await at.api.post(f"/dead/{newest['id']}/drop", {"reason": "noise"})
        assert (dropped.status, dropped.json) == (200, {"dropped": 2})
        assert (await at.api.get("/dead", limit=1)).json["total"] == 1
        assert (await at.api.post("/dead/99/drop")).status == 404


async def test_apps_and_workers_are_listed(layby_running: Any) -> None:
    async with served(layby_running, workers=0) as at, at.rt.worker():
        heard = await at.api.until("/workers", lambda page: page["workers"])
        assert [(row["app"], row["lost"]) for row in heard["workers"]] == [("desk", False)]
        assert (await at.api.get("/stats")).json["workers"] == 1
        declared = await at.api.until("/apps", lambda page: page["apps"])
        assert [app["name"] for app in declared["apps"]] == ["desk"]


async def test_the_doctor_speaks(layby_running: Any) -> None:
    async with served(layby_running) as at:
        findings = (await at.api.get("/doctor")).json["findings"]
        assert {"level", "subject", "message", "advice"} <= findings[0].keys()


async def test_a_read_only_console_changes_nothing(layby_running: Any) -> None:
    async with served(layby_running, read_only=True) as at:
        run = await at.rt.send("desk.ticket.opened", {"ticketId": "T1"})
        question = await asked(at, "T1")
        refused: list[tuple[str, Any]] = [
            (f"/runs/{run}/cancel", None),
            (f"/runs/{run}/retry", None),
            ("/events", {"subject": "desk.ticket.opened", "data": {}}),
            (f"/questions/{question['id']}/answer", {"answer": "Fixed"}),
            ("/dead/1/drop", None),
            ("/dead/1/retry", None),
        ]
        for path, body in refused:
            reply = await at.api.post(path, body)
            assert (reply.status, reply.json["type"]) == (403, "urn:layby:problem:not-allowed"), (
                path
            )
            assert "read-only" in reply.json["detail"]
        assert (await at.api.get(f"/runs/{run}")).json["status"] == "waiting"
        assert await at.rt.client.audit() == []


def become(at: Served, rights: Rights) -> None:
    """Let the program have these rights from now on."""
    login: Any = at.console.console.login
    login._program = replace(login._program, rights=rights)


async def test_a_responder_sees_and_answers_the_questions_of_their_roles(
    layby_running: Any,
) -> None:
    async with served(layby_running) as at:
        run = await opened(at, "T1")
        question = await asked(at, "T1")
        become(at, Rights(view=False, roles=frozenset({"lead"}), operate=False))
        place = f"/questions/{question['id']}"
        for state in ("open", "closed", "all"):
            found = (await at.api.get("/questions", state=state)).json
            assert (found["questions"], found["total"], found["answers"]) == ([], 0, {})
        assert (await at.api.get(place)).status == 404
        assert (await at.api.post(f"{place}/answer", {"answer": "Fixed"})).status == 404
        for path in (f"/runs/{run}", "/runs", "/stats", "/dead", "/doctor"):
            assert (await at.api.get(path)).status == 403, path
        become(at, Rights(view=True, roles=frozenset({"lead"}), operate=False))
        assert (await at.api.get(place)).status == 200
        refused = await at.api.post(f"{place}/answer", {"answer": "Fixed"})
        assert (refused.status, refused.json["type"]) == (403, "urn:layby:problem:not-allowed")
        assert "'developer'" in refused.json["detail"]
        become(at, Rights(view=False, roles=frozenset({"developer"}), operate=False))
        async with at.api.stream("/feed") as changes:
            (first,) = await taken(changes, 1)
            reply = await at.api.post(f"{place}/answer", {"answer": "Fixed"})
            assert (reply.status, reply.json["outcome"]) == (200, "accepted")
            seen = [first]
            while seen[-1].type != "question" or not seen[-1].data["answers"]:
                seen += await taken(changes, 1)
        assert {each.type for each in seen} == {"reset", "question"}


async def test_a_request_that_another_site_could_send_changes_nothing(layby_running: Any) -> None:
    async with served(layby_running) as at:
        run = await opened(at, "T1")
        kind = {"Content-Type": "application/json"}
        sent: list[dict[str, str]] = [
            {},
            {"Layby-Console": "1", "Origin": "https://example.org"},
            {"Layby-Console": "1", "Sec-Fetch-Site": "cross-site"},
            {"Layby-Console": "1", "Host": "example.org"},
        ]
        for headers in sent:
            headers |= {**at.api.login, **kind}
            reply = await at.api.ask("POST", f"/runs/{run}/cancel", b"{}", headers)
            assert (reply.status, reply.json["status"]) == (403, 403), headers
        assert (await at.api.get(f"/runs/{run}")).json["status"] == "waiting"


async def test_strangers_see_the_health_check_only(layby_running: Any) -> None:
    async with served(layby_running, workers=0) as at:
        assert (await at.api.ask("GET", "/healthz")).json == {"status": "ok"}
        for path in ("/runs", "/feed", "/openapi.json", "/stats", "/questions"):
            refused = await at.api.ask("GET", path)
            assert (refused.status, refused.json["status"]) == (401, 401), path


def _cursor(at: int) -> str:
    """A forged one."""
    return urlsafe_b64encode(json.dumps(["started", at, 1, False]).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/runs?colour=red", "colour"),
        ("/runs?status=lost", "status"),
        ("/runs?status=failed&status=lost", "status"),
        ("/runs?limit=0", "limit"),
        ("/runs?limit=501", "limit"),
        ("/runs?limit=many", "limit"),
        ("/runs?limit=1&limit=2", "limit"),
        ("/runs?since=yesterday", "since"),
        ("/runs?since=2026-01-01T00:00:00", "since"),
        ("/runs?label=gold", "label"),
        ("/runs?time=never", "time"),
        ("/runs?cursor=x", "cursor"),
        (f"/runs?cursor={_cursor(10**30)}", "cursor"),
        ("/questions?limit=x", "limit"),
        ("/questions?state=over", "state"),
        ("/questions?cursor=1", "cursor"),
        ("/questions?state=closed&cursor=x", "cursor"),
        ("/dead?limit=-1", "limit"),
        ("/stats?limit=1", "limit"),
        (f"/runs/{'0' * 20}/events?after=x", "after"),
    ],
)
async def test_a_wrong_parameter_is_named(layby_running: Any, path: str, parameter: str) -> None:
    async with served(layby_running, workers=0) as at:
        reply = await at.api.ask("GET", path, headers=at.api.login)
        assert (reply.status, reply.json["parameter"]) == (422, parameter), reply.body


async def test_each_kind_of_wrong_body_has_its_own_error(layby_running: Any) -> None:
    async with served(layby_running, workers=0) as at:
        headers = {**at.api.login, "Layby-Console": "1"}

        async def status(body: bytes, kind: str = "application/json") -> int:
            reply = await at.api.ask("POST", "/events", body, {**headers, "Content-Type": kind})
            assert reply.headers["content-type"] == "application/problem+json", reply.body
            return reply.status

        assert await status(b'{"subject": "a.b", "data": 1}', "text/plain") == 415
        assert await status(b"{") == 422
        assert await status(b"\xff") == 422
        assert await status(b"[" * 100_000) == 422
        assert await status(b"") == 422
        assert await status(b'{"subject": "a.b"}') == 422
        assert await status(b'{"subject": 1, "data": 1}') == 422
        assert await status(b'{"subject": "a.b", "data": 1, "more": 1}') == 422
        assert await status(b'{"subject": "no.such.trigger", "data": 1}') == 404
        assert await status(b'{"subject": "$JS.API.INFO", "data": 1}') == 422
        assert await status(b'{"subject": "a b", "data": 1}') == 422
        assert await status(b"subject=a.b&data=1", "application/x-www-form-urlencoded") == 403
        assert await status(b" " * (2 << 20)) == 413


async def test_what_is_not_there_is_404(layby_running: Any) -> None:
    async with served(layby_running) as at:
        none = "0" * 20
        for path in (f"/runs/{none}", f"/runs/{none}/events", f"/runs/{none}/history", "/runs/T1"):
            reply = await at.api.get(path)
            assert (reply.status, reply.json["type"]) == (404, "urn:layby:problem:no-such-run"), (
                path
            )
        assert (await at.api.get("/questions/q0123456789abc")).status == 404
        assert (await at.api.get("/questions/x")).status == 404
        assert (await at.api.post(f"/runs/{none}/cancel")).status == 404
        nothing = await at.api.get("/nothing")
        assert (nothing.status, nothing.json["status"]) == (404, 404)
        headers = {**at.api.login, "Layby-Console": "1"}
        wrong = await at.api.ask("DELETE", f"/runs/{none}", headers=headers)
        assert (wrong.status, wrong.json["status"]) == (405, 405)


async def test_open_streams_do_not_keep_the_console_up(layby_running: Any) -> None:
    async with served(layby_running, workers=0) as at:
        opening = at.api.stream("/feed")
        changes = await opening.__aenter__()
        assert (await taken(changes, 1))[0].type == "reset"
    assert {event.type async for event in changes} <= {"reset"}  # it ends, and it was not cut
    await opening.__aexit__(None, None, None)
