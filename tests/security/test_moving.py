"""From one account to several, with runs that wait."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from layby import App, Step
from layby.bus.server import EmbeddedServer
from layby.cli.entry import run as layby
from tests.engine import until
from tests.security.house import (
    EVENT,
    WITHIN,
    House,
    desk,
    with_accounts,
    with_one_account,
    with_tokens,
)

pytestmark = pytest.mark.nats


def waiting() -> App:
    """An app whose runs ask, or sleep."""
    app = App("support")

    @app.workflow(on=EVENT, key="ticketId", name="support_ticket")
    async def support_ticket(event: dict[str, Any], step: Step) -> str:
        if event["ticketId"] == "sleeps":
            await step.sleep("3s")
            return "slept"
        answer = await step.ask("developer", f"What about {event['ticketId']}?")
        return f"{answer.by}: {answer.text}"

    return app


@pytest.mark.parametrize("kind", ["accounts", "jwt"])
async def test_runs_that_wait_go_on_in_their_new_account(kind: str, tmp_path: Path) -> None:
    data = tmp_path / "nats"
    async with EmbeddedServer(data, extra=with_one_account(desk())) as server:
        house = House(url=server.url, kind="one account")
        async with house.working(waiting()), house.client("helpdesk") as helpdesk:
            run = await house.question("T1")
            await helpdesk.send(EVENT, {"ticketId": "sleeps"})
            async with house.client("observer") as observer:

                async def sleeps() -> Any:
                    return await observer.runs("waiting", ticket="sleeps")

                [sleeper] = await until(sleeps, WITHIN)
        assert layby(["accounts", "move", str(data)]) != 0  # the server runs
    registry = with_tokens(desk(), tmp_path) if kind == "jwt" else None
    where = ["--registry", str(registry.folder)] if registry else []
    assert layby(["accounts", "move", str(data), *where]) == 0
    extra = registry.config.read_text() if registry else with_accounts(desk())
    async with EmbeddedServer(data, extra=extra) as server:
        house = House(url=server.url, kind=kind)
        if registry:
            house = await House.by_tokens(server.url, registry)
        async with house.working(waiting()), house.client("ada") as ada:
            receipt = await ada.answer("T1", "yes", responder="ada", timeout=WITHIN)
            assert receipt.outcome == "accepted"
            assert (await house.ended(run)).result == "ada: yes"
            assert (await house.ended(sleeper.id)).result == "slept"


def test_nothing_is_moved_over_other_streams(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for account in ("$G", "LAYBY"):
        (tmp_path / "jetstream" / account / "streams" / "RUNS").mkdir(parents=True)
    assert layby(["accounts", "move", str(tmp_path)]) != 0
    assert "has streams already" in capsys.readouterr().err
    assert layby(["accounts", "move", str(tmp_path / "nowhere")]) != 0
    assert "holds no streams" in capsys.readouterr().err
