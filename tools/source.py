"""Sources of tools other than code: a server that lists them, for instance."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

import structlog

from ..runtime.errors import InvalidSetup
from .tool import Tool

log = structlog.get_logger("layby.tools")


@runtime_checkable
class ToolSource(Protocol):
    """Lists tools when they are needed; an agent accepts it among its `tools`."""

    @property
    def name(self) -> str:
        """Its name, for people."""
        ...

    async def list_tools(self) -> Sequence[Tool[..., Any]]:
        """Its current tools. The turn fails with what this raises, or is retried."""
        ...

    async def aclose(self) -> None:
        """Release what it holds in this process; it opens again when it is needed."""
        ...


AnyTool = Tool[..., Any]


def own(tools: Iterable[AnyTool | ToolSource]) -> list[AnyTool]:
    """The tools themselves, without those of sources."""
    return [each for each in tools if isinstance(each, Tool)]


def sources(tools: Iterable[AnyTool | ToolSource]) -> list[ToolSource]:
    """The sources among them."""
    return [each for each in tools if not isinstance(each, Tool)]


async def listed(tools: Sequence[AnyTool | ToolSource]) -> list[AnyTool]:
    """All of them as tools, in their order.

    Raises:
        InvalidSetup: two have the same name.
    """
    found: list[AnyTool] = []
    for each in tools:
        found += [each] if isinstance(each, Tool) else await each.list_tools()
    names = [tool.name for tool in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidSetup(f"two of an agent's tools are named {twice[0]!r}: rename one")
    return found


async def close(all_sources: Iterable[ToolSource]) -> None:
    """Close each source once; a failure does not keep the others from being closed."""
    unique = {id(source): source for source in all_sources}
    closing = (source.aclose() for source in unique.values())
    for result in await asyncio.gather(*closing, return_exceptions=True):
        if isinstance(result, Exception):
            log.warning("source.not_closed", error=f"{type(result).__name__}: {result}")
