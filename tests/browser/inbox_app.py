"""An app that asks people everything that can be asked."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, Field

from layby import Agent, App, Network, Role, Step, tool
from tests.engine import once
from tests.scripted import Scripted, calls, says

ASKED = "desk.asked"


class Part(BaseModel):
    """A part of a delivery."""

    name: str = Field(max_length=40)
    pieces: int = Field(ge=1, le=99)


class Address(BaseModel):
    street: str = Field(max_length=60)
    city: str = Field(max_length=60)


class Report(BaseModel):
    """How bad it is, and what is done."""

    confirmed: bool
    severity: Literal["low", "medium", "high", "critical"]
    customers: int = Field(ge=0, le=100_000, title="Customers affected")
    fixed_on: date | None = None
    cause: str = Field(description="For the team", max_length=500)
    parts: list[Part] = []
    address: Address | None = None
    channel: list[Literal["mail", "chat", "phone"]] = []


FORMS: dict[str, Any] = {
    "yesno": bool,
    "choice": Literal["red", "green", "blue"],
    "number": int,
    "report": Report,
}


class Bank:
    """What was really paid."""

    def __init__(self) -> None:
        self.paid: list[tuple[str, float]] = []


BANK = Bank()


@tool(needs_approval="manager")
async def refund(order: str, amount: float, note: str = "") -> str:
    """Give a customer money back."""
    del note
    BANK.paid.append((order, amount))
    return f"{amount} paid back for {order}"


@tool(needs_approval="manager")
async def change(file: str, old: str, new: str) -> str:
    """Change a file."""
    del old, new
    return f"{file} changed"


def app_of(*said: Any, roles: tuple[Role, ...] = ()) -> App:
    """The app; its agent says and calls what is given."""
    clerk = Agent("Clerk", tools=[refund, change], model=Scripted(*(said or [says("Done.")])))
    team = Network("team", agents=[clerk], router=once, max_turns=4)
    app = App("desk", networks=[team], roles=[*roles, Role("manager"), Role("developer")])

    @app.workflow(on=ASKED, key="ticket")
    async def handle(event: dict[str, Any], step: Step) -> Any:
        if event.get("agent"):
            return (await step.network(team, f"Ticket {event['ticket']}")).text
        ask: Any = step.ask
        answer = await ask(
            event.get("role", "developer"),
            event.get("question", f"What about {event['ticket']}?"),
            context=event.get("context", ""),
            timeout=event.get("timeout", "4h"),
            accept=event.get("accept"),
            **({"answer": FORMS[event["form"]]} if "form" in event else {}),
        )
        value: Any = answer.value
        plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        return {"said": answer.text, "value": plain, "by": answer.by}

    return app


def refunds(order: str = "A1", amount: float = 50.0, text: str = "") -> list[Any]:
    """What an agent says that wants to pay, and then is done."""
    return [calls(("refund", {"order": order, "amount": amount}), text=text), says("Done.")]
