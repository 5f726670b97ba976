"""An app whose refunds must be approved with a signature, and people who can sign."""

from __future__ import annotations

from typing import Any

from layby import Agent, App, Role, Step, tool
from layby.bus.log_subject import subject
from layby.bus.requests import Requests
from layby.models import ModelRequest, ModelResponse, ToolResult
from layby.runtime.entry import Answered, Record
from layby.runtime.envelope import Envelope, encode
from layby.testing import ScriptedModel, Signer, calls, says

ADA = Signer.from_seed("SUAGZ5N23LLXTPUWLUEAOLGZQY4FVKOLIIYAM5VG4ZAQUHJYMD3HJ7RWMI")
BOB = Signer.from_seed(Signer(bytes(range(32))).seed)
EVE = Signer.new()
ASKED = "support.ask.approver"
REFUND = "support.refund.requested"
KEYS = {"ada": ADA.public, "bob": BOB.public}
APPROVER = Role("approver", keys=KEYS)


def _clerk(request: ModelRequest) -> ModelResponse:
    if any(isinstance(part, ToolResult) for part in request.messages[-1].parts):
        return says("Done.")
    return calls("refund", order="A1", cents=4000)


class Bank:
    """The app, and what it has really paid."""

    def __init__(
        self, role: Role = APPROVER, *, asks: str = "approver", about: str = "May it go out?"
    ) -> None:
        self.paid: list[tuple[str, int]] = []

        @tool(needs_approval="approver")
        async def refund(order: str, cents: int, currency: str = "EUR") -> str:
            """Give a customer money back."""
            self.paid.append((order, cents))
            return f"paid {cents} {currency}"

        clerk = Agent("Clerk", tools=[refund], model=ScriptedModel(_clerk))
        self.app = App("bank", agents=[clerk], roles=["developer", role])

        @self.app.workflow(on=ASKED, key="ticketId", name="ask", version="1")
        async def ask(event: dict[str, Any], step: Step) -> str:
            answer = await step.ask(asks, about, context="To ACME.", timeout="1h")
            if event.get("twice"):
                answer = await step.ask(asks, "Really?", timeout="1h", name="again")
            return f"{answer.by} ({answer.vouched}): {answer.text}"

        @self.app.workflow(on=REFUND, key="ticketId", name="refund", version="1")
        async def handle(event: dict[str, Any], step: Step) -> str:
            return (await step.agent(clerk, f"Refund {event['ticketId']}")).text


app = Bank().app


async def write(requests: Requests, run: str, n: int, to: str, *records: Record) -> None:
    """Write an entry of a log as whoever may write there can, without asking if it is true."""
    envelope = Envelope(op="forged", at=1.0, records=list(records))
    await requests.store(requests.names.subject(subject(to, run, n)), encode(envelope))


def forged(question: str, text: str, by: str = "ada", signature: str = "") -> Answered:
    """An entry that says that a question was answered."""
    return Answered(
        id=question, text=text, by=by, at=1.0, seq=1, vouched="signature", signature=signature
    )
