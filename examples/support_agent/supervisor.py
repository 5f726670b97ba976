"""Who works on a ticket next: rules where the case is clear, a model where it is not.

The rules cost nothing and come first. A turn that ends in plain text is not a reply: its agent gets
one more turn to finish (its prompt says so). After that the model decides, as it does when an agent
hands the ticket over.
"""

from __future__ import annotations

from layby import Agent, Done, Route, RoutingAgent

from .agents import technical_support


def replied(route: Route) -> Done | None:
    """Stop when the customer has a reply."""
    if route.called("reply_to_customer"):
        return Done("The customer has a reply.")
    return None


def critical_first(route: Route) -> Agent | None:
    """Send a critical ticket straight to Technical Support."""
    critical = route.state.get("priority") == "critical"
    return technical_support if critical and not route.turns else None


def finish_your_turn(route: Route) -> str | None:
    """Give an agent that stopped without a reply or handover one more turn."""
    last = route.last
    if last is None or last.stop != "done" or "HANDOVER" in last.text:
        return None
    turns = sum(turn.agent == last.agent for turn in route.turns)
    return last.agent if turns == 1 else None


supervisor = RoutingAgent(
    "Supervisor",
    system=(
        "You route support tickets. Critical tickets and faults of the product go to Technical "
        "Support; questions on how to use the product go to Customer Support. Follow a HANDOVER "
        "line when it names one of the agents. You cannot write to the customer yourself. When "
        "no agent can bring the ticket further, you are done: say what a person has to look at."
    ),
    rules=[replied, critical_first, finish_your_turn],
)
