"""Several people who approve the calls of a tool together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..runtime.deciders import Deciders
from ..runtime.errors import InvalidSetup
from ..runtime.quorum import Quorum

DEFAULT_ROLE = "developer"


@dataclass(frozen=True)
class Approvers:
    """Who must approve a call of a tool, if one person is not enough: docs/people.md.

    `@tool(needs_approval=Approvers("finance", quorum=2))`: two people of finance must approve it,
    each under their own name. `Approvers(groups={"legal": 1, "finance": 1})`: one of each.

    Attributes:
        role: The role that is asked; default: the first of `groups`, else `developer`.
        quorum: How many people must decide the same; default: as many as `groups` say, else 1.
        groups: How many of them must be of each role. All of these roles are asked.
        veto: Whether the first rejection decides.
        exclude: Names of people who may not vote, such as the person who started the run.

    Raises:
        InvalidSetup: these contradict each other.
    """

    role: str = ""
    quorum: int | None = None
    groups: Mapping[str, int] | None = None
    veto: bool = False
    exclude: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check them. Raises InvalidSetup."""
        needed = self.needed
        if needed.groups and self.asked not in needed.groups:
            raise InvalidSetup(
                f"Approvers({self.role!r}, groups={needed.groups}): the role is not one of the "
                "groups: leave it out, or add it"
            )

    @property
    def asked(self) -> str:
        """The role that is asked first."""
        return self.role or next(iter(self.groups or ()), DEFAULT_ROLE)

    @property
    def needed(self) -> Quorum:
        """What it takes to approve a call."""
        options = Deciders(self.quorum, self.groups, self.veto, self.exclude)
        return options.checked() or Quorum(number=1)


class NeedsApproval(Protocol):
    """A tool, as far as approvals are concerned."""

    @property
    def name(self) -> str:
        """What the model calls it by."""
        ...

    @property
    def needs_approval(self) -> Any:
        """Who must approve its calls."""
        ...


def check_roles(tools: Iterable[NeedsApproval], roles: Collection[str], app: str) -> None:
    """Check that the app has every role whose people approve calls together. Raises InvalidSetup.

    What a function returns is checked when a call needs it.
    """
    for tool in tools:
        needs = tool.needs_approval
        if not isinstance(needs, Approvers):
            continue
        unknown = [role for role in (needs.asked, *(needs.groups or ())) if role not in roles]
        if unknown:
            raise InvalidSetup(
                f"the tool {tool.name!r} needs the approval of {unknown[0]!r}, and app {app!r} has "
                f"no such role: declare it with App(roles=[...]); declared: {', '.join(roles)}"
            )
