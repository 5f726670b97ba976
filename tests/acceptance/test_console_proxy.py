"""A proxy that says who asks, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from layby import App, Step
from layby.console.options import ProxyOptions
from layby.console.server import ExposedConsole
from tests.acceptance.test_console_guard import FORM, Visitor
from tests.engine import until
from tests.fix_browser import console_on

pytestmark = pytest.mark.nats
WITHIN = 20.0
PROXY = ProxyOptions(
    header="X-Forwarded-User",
    trusted=("127.0.0.0/8",),
    operators=frozenset({"ann"}),
    responders=(("carl", ("developer", "lead")),),
)


def desk() -> App:
    app = App("desk", roles=["developer", "boss"])

    @app.workflow(on="ticket.created", key="ticket", name="desk")
    async def work(event: dict[str, Any], step: Step) -> str:
        role = "developer" if event["ticket"] == "T1" else "boss"
        answer = await step.ask(role, f"What about {event['ticket']}?", accept=event.get("accept"))
        return f"{answer.text} {answer.by} {answer.vouched}"

    return app


@pytest.fixture
async def running(layby_running: Any) -> AsyncIterator[Any]:
    async with layby_running(desk()) as rt:
        yield rt


@pytest.fixture
async def visitor(running: Any) -> AsyncIterator[Visitor]:
    async with console_on(running.settings, auth="proxy", proxy=PROXY) as serving:
        yield Visitor(serving)


async def test_a_person_named_by_the_proxy_gets_in_with_their_rights(visitor: Visitor) -> None:
    for name, word, sees in (
        ("ann", "operator", 200),
        ("carl", "responder", 303),
        ("dora", "viewer", 200),
    ):
        page = await visitor.ask("GET", "/inbox", X_Forwarded_User=name)
        assert f"<b>{name}</b>, {word}" in page.body
        assert "Sign out" not in page.body
        assert (await visitor.ask("GET", "/", X_Forwarded_User=name)).status == sees


@pytest.mark.parametrize("name", ["", " ", "a\tb", "x" * 200])
async def test_without_a_name_nobody_is_let_in(visitor: Visitor, name: str) -> None:
    for path in ("/", "/inbox", "/api/v1/runs", "/live", "/static/layby.css", "/sign-in"):
        assert (await visitor.ask("GET", path, X_Forwarded_User=name)).status == 403
        assert (await visitor.ask("GET", path)).status == 403


async def test_the_header_counts_from_the_proxy_only(running: Any) -> None:
    elsewhere = ProxyOptions(
        header="X-Forwarded-User", trusted=("10.0.0.0/8",), operators=frozenset({"ann"})
    )
    async with console_on(running.settings, auth="proxy", proxy=elsewhere) as serving:
        visitor = Visitor(serving)
        for via in ("", "10.0.0.1", "10.0.0.1, 127.0.0.1"):
            reply = await visitor.ask("GET", "/", X_Forwarded_User="ann", X_Forwarded_For=via)
            assert reply.status == 403
            assert "Only the proxy" in reply.body


async def test_a_person_named_by_the_proxy_needs_their_own_form_token(visitor: Visitor) -> None:
    body = b"form_token=x"
    for name in ("ann", "dora"):
        reply = await visitor.ask("POST", "/send", body, Content_Type=FORM, X_Forwarded_User=name)
        assert reply.status == 403


async def test_a_responder_sees_and_answers_only_what_is_theirs(
    running: Any, visitor: Visitor
) -> None:
    for ticket in ("T1", "T2"):
        await running.client.send("ticket.created", {"ticket": ticket})

    async def both() -> list[Any]:
        found = await visitor.serving.console.catalogue.questions()
        return found if len(found) == 2 else []

    mine, other = sorted(await until(both, WITHIN), key=lambda row: row.ticket)
    page = await visitor.ask("GET", "/inbox", X_Forwarded_User="carl")
    assert "What about T1?" in page.body
    assert "What about T2?" not in page.body
    api = "/api/v1/questions"
    listed = await visitor.ask("GET", api, X_Forwarded_User="carl")
    assert mine.id in listed.body
    assert other.id not in listed.body
    sent = {"Content_Type": "application/json", "Layby_Console": "1"}
    answer = b'{"answer": "yes"}'
    for path in (f"/inbox/{other.id}", f"{api}/{other.id}"):
        assert (await visitor.ask("GET", path, X_Forwarded_User="carl")).status == 404
    reply = await visitor.ask(
        "POST", f"{api}/{other.id}/answer", answer, X_Forwarded_User="carl", **sent
    )
    assert reply.status == 404
    reply = await visitor.ask(
        "POST", f"{api}/{mine.id}/answer", answer, X_Forwarded_User="dora", **sent
    )
    assert reply.status == 403
    reply = await visitor.ask(
        "POST", f"{api}/{mine.id}/answer", answer, X_Forwarded_User="carl", **sent
    )
    assert reply.status == 200
    assert '"by":"carl"' in reply.body


async def test_a_read_only_console_leaves_nobody_a_right_to_change(running: Any) -> None:
    async with console_on(running.settings, auth="proxy", proxy=PROXY, read_only=True) as serving:
        for name in ("ann", "carl", "dora"):
            reply = await Visitor(serving).ask(
                "POST",
                "/api/v1/events",
                b'{"subject": "ticket.created", "data": {}}',
                X_Forwarded_User=name,
                Content_Type="application/json",
                Layby_Console="1",
            )
            assert reply.status == 403


async def test_a_network_is_served_only_with_a_login(running: Any) -> None:
    with pytest.raises(ExposedConsole, match="--auth nats"):
        async with console_on(running.settings, host="0.0.0.0"):  # noqa: S104
            pass
    with pytest.raises(ExposedConsole):
        async with console_on(running.settings, host="0.0.0.0", auth="proxy"):  # noqa: S104
            pass
    async with console_on(
        running.settings,
        host="0.0.0.0",  # noqa: S104
        auth="proxy",
        proxy=PROXY,
    ) as serving:
        reply = await Visitor(serving).ask("GET", "/", X_Forwarded_User="ann")
        assert reply.status == 200


async def answered(running: Any, visitor: Visitor, name: str, **event: Any) -> tuple[int, str]:
    """Ask on T1 and answer as somebody; the reply's status, and the run's result if it has one."""
    run = await running.send("ticket.created", {"ticket": "T1", **event})
    catalogue = visitor.serving.console.catalogue

    async def asked() -> list[Any]:
        return [each for each in await catalogue.questions() if each.run == run]

    [question] = await until(asked, WITHIN)
    reply = await visitor.ask(
        "POST",
        f"/api/v1/questions/{question.id}/answer",
        b'{"answer": "yes"}',
        X_Forwarded_User=name,
        Content_Type="application/json",
        Layby_Console="1",
    )
    return reply.status, await running.result(run) if reply.status == 200 else reply.body


@pytest.mark.parametrize(
    ("name", "accept", "result"),
    [
        ("carl", None, "yes carl proxy"),
        ("carl", ["proxy", "nats"], "yes carl proxy"),
        ("ann", "proxy", "yes ann proxy"),
        ("carl", "none", None),
        ("c@rl", None, None),
    ],
)
async def test_the_proxy_vouches_for_the_person_it_names(
    running: Any, name: str, accept: Any, result: str | None
) -> None:
    people = replace(PROXY, responders=((name, ("developer",)),))
    async with console_on(running.settings, auth="proxy", proxy=people) as serving:
        status, said = await answered(running, Visitor(serving), name, accept=accept)
    if result is None and accept == "none":
        assert status != 200
    else:
        assert (status, said) == (200, result or f"yes {name} none")


async def test_an_answer_by_a_proxy_is_refused_if_its_question_does_not_accept_that(
    running: Any, visitor: Visitor
) -> None:
    status, said = await answered(running, visitor, "carl", accept="nats")
    assert status == 422
    assert "through proxy does not count" in said
