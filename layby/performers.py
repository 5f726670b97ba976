"""The actors of an app that take mail beside its workflows and people: networks and agents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from .actors.agents.agent import Agent
from .actors.networks.network import Network
from .runtime.errors import InvalidSetup


def performers(
    networks: Sequence[Network[Any]], alone: Sequence[Agent]
) -> tuple[dict[str, Network[Any]], dict[str, Agent]]:
    """The networks by name, nested ones too, and the agents by address, those of tools too.

    Raises:
        InvalidSetup: two would share a mailbox, or an agent on its own has no model.
    """
    inner: dict[str, Network[Any]] = {}
    boxes: dict[str, Any] = {}
    agents: dict[str, Agent] = {}
    for agent in alone:
        agent.check_model()
    everybody: list[Network[Any] | Agent] = [*networks, *alone]
    for declared in everybody:
        for performer in declared.performers():
            known = boxes.setdefault(performer.address, performer)
            if known is not performer:
                kind = "network" if isinstance(declared, Network) else "agent"
                raise InvalidSetup(
                    f"two would share the mailbox {performer.address!r}: {known.name!r} and "
                    f"{performer.name!r} of {kind} {declared.name!r}; rename one"
                )
            if isinstance(performer, Network):
                inner[performer.name] = cast("Any", performer)
            else:
                agents[performer.address] = performer
    return inner, agents
