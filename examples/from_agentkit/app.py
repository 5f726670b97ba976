"""The support agent of AgentKit's guide to a human in the loop, with the calls of Layby.

The order, the names and the events are those of the original. docs/coming-from-agentkit.md has both
side by side. What a support desk needs beyond it is in examples/support_agent.
"""

from __future__ import annotations

import os
from typing import Annotated, Any

from layby import (
    Agent,
    App,
    Done,
    Network,
    NonRetriableError,
    Route,
    RoutingAgent,
    Step,
    ToolContext,
    tool,
    tool_called,
)
from layby.models import Model, anthropic

from ..support_agent.data import (
    KNOWLEDGE_BASE,
    RELEASE_NOTES,
    TICKETS,
    Article,
    ReleaseNote,
    Ticket,
)
from ..support_agent.search import search
from .offline import offline
from .slack import send_slack_message

TICKET_CREATED = "app/support.ticket.created"
DEVELOPER_RESPONSE = "app/support.ticket.developer-response"


@tool
async def search_knowledge_base(
    keyword: Annotated[str, "The keyword to search for in the knowledge base"],
) -> list[Article]:
    """Search the knowledge base for relevant articles."""
    return search(KNOWLEDGE_BASE, keyword, lambda article: f"{article.title} {article.content}")


@tool
async def search_latest_release_notes(
    query: Annotated[str, "The query to search for in the release notes"],
) -> list[ReleaseNote]:
    """Search the latest release notes for relevant articles."""
    return search(RELEASE_NOTES, query, lambda note: f"{note.version} {note.content}")


@tool
async def reply_to_customer(
    ctx: ToolContext, message: Annotated[str, "The message to send to the customer"]
) -> str:
    """Reply to a customer with the answer to their inquiry."""
    ctx.state["reply_to_customer"] = message
    return "The reply was sent."


@tool
async def ask_developer(
    ctx: ToolContext,
    question: Annotated[str, "The technical question for the developer"],
    context: Annotated[str, "Additional context about the issue"],
) -> dict[str, Any]:
    """Ask a developer for input on a technical issue."""
    text = f"{ctx.ticket}: {question}\n{context}"
    # The tool is entered again when the answer is there: what is in a step is not sent again.
    await ctx.step.run("send_slack_message", send_slack_message, text)
    response = await ctx.step.wait_for_event(
        DEVELOPER_RESPONSE, match="data.ticketId", timeout="4h", name="developer.response"
    )
    if response is None:
        return {"error": "No developer response provided"}
    return {
        "developerResponse": response["data"]["answer"],
        "responseTime": response["data"]["timestamp"],
    }


customer_support = Agent(
    "Customer Support",
    description="I am a customer support agent that helps customers with their inquiries.",
    system=(
        "You are a helpful customer support agent. Your goal is to help customers with their "
        "questions. Search the knowledge base, then reply to the customer."
    ),
    tools=[search_knowledge_base, reply_to_customer],
    stop_when=[tool_called("reply_to_customer")],
)

technical_support = Agent(
    "Technical Support",
    description="I am a technical support agent that helps with critical tickets.",
    system=(
        "You are a technical support specialist. Search the release notes. If they do not answer "
        "the question, ask a developer, then reply to the customer with what they said."
    ),
    tools=[search_latest_release_notes, ask_developer, reply_to_customer],
    stop_when=[tool_called("reply_to_customer")],
)


def replied(route: Route) -> Done | None:
    """The customer has a reply: the network is done, and no model is asked."""
    return Done("The customer has a reply.") if route.called("reply_to_customer") else None


supervisor = RoutingAgent(
    "Supervisor",
    system=(
        "You are a supervisor. Route a ticket that reports a fault of the product to Technical "
        "Support, and any other to Customer Support."
    ),
    rules=[replied],
)


def default_model() -> Model:
    """Claude if there is an ANTHROPIC_API_KEY in the environment, else a script."""
    if os.environ.get("ANTHROPIC_API_KEY"):
        return anthropic("claude-haiku-4-5", max_tokens=1000)
    return offline


support_network = Network(
    "Support Network",
    agents=[customer_support, technical_support],
    router=supervisor,
    default_model=default_model(),
    max_turns=10,
)

app = App("from-agentkit", networks=[support_network], events=[DEVELOPER_RESPONSE])


def get_ticket_details(ticket_id: str) -> Ticket:
    """Read a ticket."""
    for ticket in TICKETS:
        if ticket.id == ticket_id:
            return ticket
    raise NonRetriableError(f"Ticket not found: {ticket_id}")


@app.workflow(on=TICKET_CREATED, key="data.ticketId", name="support-agent-workflow")
async def support_agent_workflow(event: dict[str, Any], step: Step) -> dict[str, Any]:
    """Work on a ticket."""
    ticket = await step.run("get_ticket_details", get_ticket_details, event["data"]["ticketId"])
    response = await step.network(support_network, ticket.title)
    return {"response": response.state.get("reply_to_customer"), "ticket": ticket}
