"""Records the histories in this folder anew: `python -m tests.histories.record`.

Only for a change that is meant to break them: they stand for runs that are parked somewhere.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any

from layby import App, Step
from layby.testing import TestRuntime, running
from tests.signing_desk import ADA, ASKED, Bank
from tests.testkit_app import app, charge

FOLDER = Path(__file__).parent


async def save(rt: TestRuntime, name: str, run: str | None = None) -> None:
    """Save the history of a run, the newest by default."""
    (await rt.record(run)).save(FOLDER / f"{name}.json")


async def people(rt: TestRuntime) -> None:
    """Runs that ask, and are answered or not."""
    await rt.send("testkit.order", {"order": "A1"}, event_id="order")
    await rt.advance()
    await rt.question()
    await save(rt, "order_waiting")
    await rt.answer(None, "yes", by="ada")
    await rt.result()
    await save(rt, "order_completed")
    await rt.send("testkit.asks", {"order": "A2"}, event_id="asks")
    await rt.answer(None, "It is.")
    await rt.result()
    await save(rt, "asks_completed")
    await rt.send("testkit.silent", {"order": "A4"}, event_id="silent")
    await rt.advance()
    await rt.result()
    await save(rt, "silent_expired")


async def others(rt: TestRuntime) -> None:
    """Runs that wait for events and other runs, and runs that fail."""
    await rt.send("testkit.fails", {"order": "A3"}, event_id="fails")
    await rt.ended()
    await save(rt, "fails_failed")
    await rt.send("testkit.waits", {"order": "A5"}, event_id="waits")
    await rt.send("testkit.paid", {"order": "A5"})
    await rt.result()
    await save(rt, "waits_arrived")
    await rt.send("testkit.chat", {"order": "A6"}, event_id="chat")
    for text in ("one", "two", "three"):
        await rt.send("testkit.said", {"order": "A6", "text": text})
    await rt.result()
    await save(rt, "chat_completed")
    run = await rt.send("testkit.parent", {"order": "B1"}, event_id="parent")
    while not (asked := await rt.client.questions()):
        pass
    await rt.advance(asked[0].run)
    await rt.result(run)
    await save(rt, "parent_completed", run)
    await rt.send("testkit.guarded", {"order": "B2"}, event_id="guarded")
    await rt.advance()
    await rt.ended()
    await save(rt, "guarded_timed_out")


async def branches(rt: TestRuntime) -> None:
    """Runs that do several things at once."""
    await rt.send("testkit.branches", {"order": "A7"}, event_id="branches")
    await rt.answer(None, "first")
    await save(rt, "branches_half")
    await rt.answer(None, "second")
    await rt.result()
    await save(rt, "branches_completed")
    for ticket, story in (("A8", "answered"), ("A9", "slept")):
        await rt.send("testkit.race", {"order": ticket}, event_id=ticket)
        await rt.question()
        await (rt.answer(None, "me") if story == "answered" else rt.advance())
        await rt.result()
        await save(rt, f"race_{story}")


async def main() -> None:
    """Play each story, and save it."""
    async with running(app) as rt:
        await people(rt)
        await others(rt)
        await branches(rt)
    async with running(before) as rt:
        await rt.send("testkit.order", {"order": "A6"}, event_id="billed")
        await rt.answer(None, "yes")
        await rt.result()
        await save(rt, "must_fail_order_billed")
    await signed()
    await support_agent()


async def signed() -> None:
    """A question that somebody has answered with their signature."""
    async with running(Bank().app) as rt:
        await rt.send(ASKED, {"ticketId": "T1"}, event_id="signed")
        await rt.answer(None, "yes", by="ada", signer=ADA)
        await rt.result()
        await save(rt, "signed/completed")


async def support_agent() -> None:
    """The example's three tickets; one of them asks a developer."""
    with tempfile.TemporaryDirectory() as data:
        os.environ["LAYBY_DATA"] = data
        from examples.support_agent.app import app as support  # noqa: PLC0415  reads it

        async with running(support) as rt:
            for ticket in ("T123", "T124", "T125"):
                await rt.send("support.ticket.created", {"ticketId": ticket}, event_id=ticket)
                if ticket == "T125":
                    await rt.answer(ticket, "Fixed in v1.1.4, please upgrade.", by="ada")
                await rt.result()
                await save(rt, f"support_agent/{ticket}")


before = App("testkit")


@before.workflow(on="testkit.order", key="order", version="1")
async def order(event: dict[str, Any], step: Step) -> str:
    """What the app's workflow was once, with a step that it no longer has."""
    await step.run("bill", charge, event["order"])
    return (await step.ask("developer", "Ship?")).text


if __name__ == "__main__":
    asyncio.run(main())
