"""Schemathesis asks the console what its OpenAPI document allows, and much that it does not.

`pytest` asks each operation a little, `pytest -m proof` more. Yet more:
LAYBY_HTTP_EXAMPLES=500 .venv/bin/pytest tests/acceptance/test_http_schemathesis.py
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from itertools import product
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from layby import App, Step
from tests.examples import proofs_but
from tests.fix_browser import console_on
from tests.http_api import Api

pytestmark = [pytest.mark.nats, pytest.mark.slow, pytest.mark.timeout(3600)]

EXAMPLES = int(os.environ.get("LAYBY_HTTP_EXAMPLES", "8"))
"""Requests for each operation: so many that it allows, and so many that it does not."""
PART = 1
MEANT = {
    "/runs",
    "/runs/{id}/events",
    "/events",
    "/questions",
    *(f"/questions/{{id}}/{verb}" for verb in ("answer", "claim", "pass", "ask-back")),
}
"""What these take must also mean something: a cursor, a number, a subject, an answer, a role."""
ENDLESS = "/feed"
FOLLOWED = "/runs/{id}/events"
"""A stream without an end, and one that ends with its run: Schemathesis would wait for it."""


def desk() -> App:
    app = App("desk")

    @app.workflow(on="desk.ticket.opened", key="ticketId")
    async def handle(event: dict[str, Any], step: Step) -> str:
        return (await step.ask("developer", f"What about {event['ticketId']}?")).text

    del handle
    return app


@pytest.mark.parametrize("examples", proofs_but(1, [PART, EXAMPLES]))
async def test_no_request_breaks_the_console_and_every_response_is_as_described(
    layby_running: Any, examples: int
) -> None:
    async with layby_running(desk()) as rt, console_on(rt.settings) as console:
        api = Api(console)
        await rt.send("desk.ticket.opened", {"ticketId": "T1"})
        question = await rt.question()
        document = (await api.get("/openapi.json")).json
        await rt.client.send("desk.ticket.opened", b"no JSON")
        known = {
            "/runs/": {"id": question.run},
            "/questions/": {"id": question.id},
            "/dead/": {"seq": 1},
        }
        count = await asyncio.to_thread(_ask, document, console.url, api.login, known, examples)
        assert count >= examples * len(document["paths"])
        assert (await api.get(f"/runs/{question.run}")).status == 200  # it is as well as before


def _ask(
    document: dict[str, Any],
    url: str,
    login: dict[str, str],
    known: dict[str, Any],
    examples: int,
) -> int:
    """Ask all operations; how many requests that were. Raises what Schemathesis finds."""
    schema: Any = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=f"{url}/api/v1")
    count = 0
    for each in schema.get_all_operations():
        operation = each.ok()
        if operation.path == ENDLESS:
            continue
        there = next((ids for path, ids in known.items() if operation.path.startswith(path)), None)
        places = [None] if there is None or operation.path == FOLLOWED else [None, there]
        for mode, place in product(GenerationMode, places):
            cases = operation.as_strategy(generation_mode=mode, path_parameters=place)
            count += _ask_one(cases, login, examples, meant=operation.path in MEANT)
    return count


def _ask_one(cases: Any, login: dict[str, str], examples: int, *, meant: bool) -> int:
    count = 0
    excluded: list[Any] = [checks.positive_data_acceptance] if meant else []

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list[Any](HealthCheck),
    )
    @given(case=cases)
    def ask(case: Any) -> None:
        nonlocal count
        count += 1
        case.call_and_validate(headers=login, excluded_checks=excluded)

    with suppress(Unsatisfiable):  # nothing can be wrong about no parameters
        ask()
    return count
