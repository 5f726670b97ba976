"""The pictures of the console in docs/console.md: `python -m tests.pictures` makes them anew.

Everything on them is real: a server, workers of the example and of a small shop, and Chromium.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from layby import App, Step
from layby.bus.server import EmbeddedServer
from layby.bus.settings import ConnectionSettings
from layby.client import Client
from layby.console.options import ConsoleOptions
from layby.console.server import Serving, serving
from layby.worker.worker import working
from tests.engine import until
from tests.fix_browser import CHROMIUM

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
PAGES = ("runs", "run", "inbox", "send", "health")
_VIEW: Any = {"width": 1280, "height": 800}
_WRONG = "the payment provider answered 503"


class Fault(BaseModel):
    """What a developer is asked about a fault."""

    confirmed: bool
    severity: Literal["low", "medium", "high"]
    customers: int = Field(ge=0, description="How many customers it affects.")
    fixed_in: str | None = None


class Refund(BaseModel):
    """A refund was asked for."""

    orderId: str = Field(description="As the shop spells it.")  # noqa: N815
    amount: float = Field(gt=0, description="In euros.")
    reason: Literal["broken", "late", "other"] = "other"


def shop() -> App:
    """An app with a question that has a form, failures and quick runs."""
    app = App("shop", roles=["developer", "manager"])

    @app.workflow(on="shop.refund.requested", key="orderId")
    async def refund(event: Refund, step: Step) -> str:
        """Pay a customer back, if a manager agrees."""
        sure = await step.ask(
            "manager",
            f"Pay {event.amount:.2f} back for order {event.orderId}?",
            context="It was delivered broken. The customer has sent a picture.",
            answer=bool,
        )
        return "paid" if sure.value else "refused"

    @app.workflow(on="shop.fault.reported", key="orderId")
    async def fault(_: dict[str, Any], step: Step) -> str:
        """Ask a developer about a fault."""
        said = await step.ask(
            "developer",
            "How bad is the VAT fault, and when is it fixed?",
            context="Three customers have written since Tuesday: the invoices show 16 %.",
            answer=Fault,
        )
        return said.text

    @app.workflow(on="shop.order.placed", key="orderId")
    async def order(event: dict[str, Any], step: Step) -> str:
        """Take an order."""
        return await step.run("charge", charge, event["orderId"])

    return app


async def charge(order: str) -> str:
    """Charge an order; every ninth fails."""
    if int(order.rpartition("-")[2]) % 9 == 0:
        raise RuntimeError(_WRONG)
    return "charged"


@asynccontextmanager
async def shown() -> AsyncGenerator[tuple[Serving, dict[str, str]]]:
    """A console on a server with something to see, and where its pages are."""
    with tempfile.TemporaryDirectory(prefix="layby-pictures-") as folder:
        os.environ["LAYBY_DATA"] = folder
        os.environ.pop("ANTHROPIC_API_KEY", None)
        from examples.support_agent.app import app as support  # noqa: PLC0415  reads LAYBY_DATA

        async with EmbeddedServer(Path(folder) / "nats") as server:
            settings = ConnectionSettings(servers=(server.url,))
            async with (
                working(support, settings),
                working(shop(), settings),
                Client.connect(settings) as client,
                serving(settings, ConsoleOptions(port=0)) as console,
            ):
                run = await _happen(client)
                yield console, _addresses(run)


def _addresses(run: str) -> dict[str, str]:
    return {
        "runs": "/",
        "run": f"/runs/{run}",
        "inbox": "/inbox",
        "send": "/send?workflow=refund",
        "health": "/health",
    }


async def _happen(client: Client) -> str:
    """Open tickets and orders; the run of the ticket that waits for a developer."""
    for number in range(30):
        await client.send("shop.order.placed", {"orderId": f"A-{number}"})
    for ticket in ("T123", "T124", "T125"):
        await client.send("support.ticket.created", {"ticketId": ticket}, event_id=ticket)
    await client.send("shop.refund.requested", {"orderId": "A-31", "amount": 50.0})
    await client.send("shop.fault.reported", {"orderId": "A-17"})
    for role, count in (("developer", 2), ("manager", 1)):  # T125, the fault; the refund
        await until(partial(_asked, client, role, count))
    return await client.run_of("support_ticket", "T125").id()


async def _asked(client: Client, role: str, count: int) -> bool:
    return len(await client.questions(role)) == count


async def take(folder: Path) -> None:
    """Write a picture of each page into `folder`."""
    from playwright.async_api import async_playwright  # noqa: PLC0415

    async with shown() as (console, addresses), async_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        context = await browser.new_context(viewport=_VIEW, color_scheme="light")
        page = await context.new_page()
        await page.goto(console.entry)
        for name, address in addresses.items():
            await page.goto(f"{console.url}{address}")
            await page.locator('.live[data-state="on"], #run').first.wait_for()
            await page.wait_for_timeout(2_500 if name == "health" else 700)
            await page.screenshot(path=folder / f"console-{name}.png")
        await browser.close()


if __name__ == "__main__":
    if CHROMIUM is None:
        sys.exit("there is no chromium here")
    FOLDER.mkdir(parents=True, exist_ok=True)
    asyncio.run(take(FOLDER))
