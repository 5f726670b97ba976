"""The actors that take mail besides an app's workflows and people: networks and agents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from .actors.agents.agent import Agent
from .actors.networks.network import Network
from .runtime.errors import InvalidSetup
from .tools.approvers import check_roles


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


def check_tools(
    agents: Mapping[str, Agent], roles: Sequence[str], app: str, *, encrypted: bool
) -> None:
    """Check the tools of an app's agents against what it declares. Raises InvalidSetup."""
    tools = [tool for agent in agents.values() for tool in agent.own_tools]
    check_roles(tools, roles, app)
    if not encrypted and (asking := [tool.name for tool in tools if tool.confidential]):
        raise InvalidSetup(
            f"the tool {asking[0]!r} is confidential=True, and app {app!r} is not encrypted: give "
            "it App(encryption=Keyring.from_env())"
        )
