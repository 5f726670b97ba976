"""Records the histories in this folder anew: `python -m tests.histories.record`.

Only for a change that is meant to break them: they stand for runs that are parked somewhere.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from layby import App, Step
from layby.testing import running
from tests.testkit_app import app, charge

FOLDER = Path(__file__).parent


async def main() -> None:
    """Play each story, and save it."""
    async with running(app) as rt:
        await rt.send("testkit.order", {"order": "A1"}, event_id="order")
        await rt.advance()
        await rt.question()
        (await rt.record()).save(FOLDER / "order_waiting.json")
        await rt.answer(None, "yes", by="ada")
        await rt.result()
        (await rt.record()).save(FOLDER / "order_completed.json")
        await rt.send("testkit.asks", {"order": "A2"}, event_id="asks")
        await rt.answer(None, "It is.")
        await rt.result()
        (await rt.record()).save(FOLDER / "asks_completed.json")
        await rt.send("testkit.fails", {"order": "A3"}, event_id="fails")
        await rt.ended()
        (await rt.record()).save(FOLDER / "fails_failed.json")
        await rt.send("testkit.silent", {"order": "A4"}, event_id="silent")
        await rt.advance()
        await rt.result()
        (await rt.record()).save(FOLDER / "silent_expired.json")
        await rt.send("testkit.waits", {"order": "A5"}, event_id="waits")
        await rt.send("testkit.paid", {"order": "A5"})
        await rt.result()
        (await rt.record()).save(FOLDER / "waits_arrived.json")
        await rt.send("testkit.branches", {"order": "A7"}, event_id="branches")
        await rt.answer(None, "first")
        (await rt.record()).save(FOLDER / "branches_half.json")
        await rt.answer(None, "second")
        await rt.result()
        (await rt.record()).save(FOLDER / "branches_completed.json")
        for order, story in (("A8", "answered"), ("A9", "slept")):
            await rt.send("testkit.race", {"order": order}, event_id=order)
            await rt.question()
            if story == "answered":
                await rt.answer(None, "me")
            else:
                await rt.advance()
            await rt.result()
            (await rt.record()).save(FOLDER / f"race_{story}.json")
        run = await rt.send("testkit.parent", {"order": "B1"}, event_id="parent")
        while not (asked := await rt.client.questions()):
            pass
        await rt.advance(asked[0].run)
        await rt.result(run)
        (await rt.record(run)).save(FOLDER / "parent_completed.json")
        await rt.send("testkit.guarded", {"order": "B2"}, event_id="guarded")
        await rt.advance()
        await rt.ended()
        (await rt.record()).save(FOLDER / "guarded_timed_out.json")
    async with running(before) as rt:
        await rt.send("testkit.order", {"order": "A6"}, event_id="billed")
        await rt.answer(None, "yes")
        await rt.result()
        (await rt.record()).save(FOLDER / "must_fail_order_billed.json")


before = App("testkit")


@before.workflow(on="testkit.order", key="order", version="1")
async def order(event: dict[str, Any], step: Step) -> str:
    """What the app's workflow was once, with a step that it no longer has."""
    await step.run("bill", charge, event["order"])
    return (await step.ask("developer", "Ship?")).text


if __name__ == "__main__":
    asyncio.run(main())
