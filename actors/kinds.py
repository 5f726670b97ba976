"""The kinds of actors that receive mail: the first part of their addresses."""

from __future__ import annotations

from ..runtime.address import Address

WORKFLOW = "workflow"
NETWORK = "network"
AGENT = "agent"
HUMAN = "human"


def human_address(role: str) -> str:
    """The address of the people of a role."""
    return str(Address(HUMAN, role))


def kind_of(address: str) -> str:
    """The kind of the actor at an address."""
    return Address.parse(address).kind
