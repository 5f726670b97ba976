"""Tools of an MCP server: `Agent(tools=[mcp_server("github", url="https://...")])`.

Needs the extra `layby[mcp]`, the official `mcp` package. Nothing is started or connected until an
agent takes a turn. The server's environment and headers are never logged or recorded.
"""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from ..bus.install import installing
from ..runtime import duration
from ..runtime.actor_step import ActorStep
from ..runtime.errors import InvalidSetup
from .approval import ApprovalPolicy, checked
from .context import ToolContext
from .errors import ToolError
from .mcp_link import Endpoint, Link, McpLost
from .mcp_wire import CONTEXT, Arguments, Listed, Reply, Wanted, arguments_of, ask_person
from .mcp_wire import name_of as tool_name
from .tool import Tool

_MAX_INPUTS = 10
"""How often a server may ask for input in one call."""


def mcp_server(
    name: str,
    *,
    command: Sequence[str] | None = None,
    url: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    headers: Mapping[str, str] | None = None,
    only: Collection[str] | None = None,
    timeout: str | float | timedelta = "60s",
    retries: int = 0,
    refresh: str | float | timedelta = "5m",
    needs_approval: ApprovalPolicy = False,
    confidential: bool = False,
    role: str = "developer",
) -> McpServer:
    """The tools of an MCP server, for `Agent(tools=[...])`. The model sees `<name>-<tool>`.

    Args:
        name: The server's name: letters, digits, `_` and `-`.
        command: The command that starts the server as a child process, which speaks MCP over its
            standard streams.
        url: The server's address, for streamable HTTP.
        env: Variables for the child process, in addition to a few safe ones (`PATH`, `HOME`...).
        cwd: The working directory of the child process.
        headers: Headers of each HTTP request, `Authorization` for instance.
        only: The tools to offer, by the server's own names for them; None: all.
        timeout: How long connecting, listing the tools or one attempt of a call may take.
        retries: How often to retry a call that timed out or lost its connection. The call may have
            taken effect: give more than 0 only for tools that may safely run twice.
        refresh: How old the list of tools may be when a turn begins.
        needs_approval: Who must approve the calls of its tools: see `@tool`.
        confidential: Whether questions to people, for an approval or from the server, are encrypted
            wherever they are shown: see `@tool`.
        role: The role that is asked when the server needs input from a person.

    Raises:
        InvalidSetup: the settings contradict one another, or the extra `mcp` is not installed.
    """
    where = f"mcp_server({name!r})"
    if importlib.util.find_spec("mcp") is None:
        raise InvalidSetup(f"{where} needs the package mcp: {installing('mcp')}")
    if (command is None) == (url is None):
        raise InvalidSetup(f"{where}: give either command=[...] or url=...")
    if isinstance(command, str) or (command is not None and not command):
        raise InvalidSetup(f"{where}: command is a list, as in command=['uvx', 'the-server']")
    if command is None and (env or cwd):
        raise InvalidSetup(f"{where}: env and cwd are for a command, headers for a url")
    if url is None and headers:
        raise InvalidSetup(f"{where}: headers are for a url, env for a command")
    if retries < 0:
        raise InvalidSetup(f"{where}: retries={retries}: give 0 or more")
    tool_name(name, "tool")
    endpoint = Endpoint(
        name=name,
        command=tuple(command or ()),
        url=url or "",
        env=dict(env or {}),
        cwd=cwd,
        headers=dict(headers or {}),
        timeout=duration.seconds(timeout),
    )
    return McpServer(
        endpoint,
        only=None if only is None else frozenset(only),
        retries=retries,
        refresh=duration.seconds(refresh, allow_zero=True),
        needs_approval=checked(name, needs_approval),
        confidential=confidential,
        role=role,
    )


class McpServer:
    """A source of tools, made by `mcp_server()`. Any number of agents may share one."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        only: frozenset[str] | None,
        retries: int,
        refresh: float,
        needs_approval: ApprovalPolicy,
        confidential: bool,
        role: str,
    ) -> None:
        self._endpoint = endpoint
        self._only = only
        self._retries = retries
        self._refresh = refresh
        self._needs_approval = needs_approval
        self._confidential = confidential
        self._role = role
        self._link: Link | None = None
        self._opening: asyncio.Lock | None = None
        self._tools: list[Tool[..., Any]] = []
        self._listed_at = 0.0

    @property
    def name(self) -> str:
        """The server's name."""
        return self._endpoint.name

    def __repr__(self) -> str:
        return f"mcp_server({self.name!r})"

    async def list_tools(self) -> Sequence[Tool[..., Any]]:
        """The server's tools, at most `refresh` old.

        Raises:
            McpLost: it cannot be reached; trying again may help.
        """
        link = self._link
        fresh = time.monotonic() - self._listed_at < self._refresh
        if self._tools and fresh and not (link and link.list_changed):
            return self._tools
        return await self.refresh()

    async def refresh(self) -> Sequence[Tool[..., Any]]:
        """List the tools again. Raises McpLost."""
        link = await self._open()
        link.list_changed = False
        found = await link.list_tools()
        self._tools = [self._tool(each) for each in found if self._offers(each.name)]
        self._listed_at = time.monotonic()
        return self._tools

    async def aclose(self) -> None:
        """Close the connection and end the child process; the next turn opens them again."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    def _offers(self, tool: str) -> bool:
        return self._only is None or tool in self._only

    async def _open(self) -> Link:
        """The connection; a new one if it was lost or belongs to another event loop."""
        if self._link is not None and self._link.usable:
            return self._link
        if self._opening is None or not _of_this_loop(self._opening):
            self._opening = asyncio.Lock()
        async with self._opening:
            if self._link is None or not self._link.usable:
                self._link = await Link.open(self._endpoint)
            return self._link

    def _tool(self, listed: Listed) -> Tool[..., Any]:
        async def call(**given: Any) -> str:
            ctx: ToolContext[Any] = given.pop(CONTEXT)
            return await self._call(ctx, listed.name, given)

        arguments: Arguments = arguments_of(listed)
        return Tool(
            name=tool_name(self.name, listed.name),
            description=listed.description,
            parameters=arguments.schema,
            function=call,
            retries=self._retries,
            arguments=arguments,
            needs_approval=self._needs_approval,
            confidential=self._confidential,
        )

    async def _call(self, ctx: ToolContext[Any], tool: str, arguments: dict[str, Any]) -> str:
        """Call a tool; when the server needs input, park the run until a person has given it."""
        responses: dict[str, Any] | None = None
        state: str | None = None
        for number in range(1, _MAX_INPUTS + 1):
            key = f"input{number}"
            if ActorStep.of(ctx.step).has(key):
                wanted = await ctx.step.run(key, _already_recorded)
            else:
                link = await self._open()
                reply = await link.call(tool, arguments, responses, state)
                if isinstance(reply, Reply):
                    return _text_of(reply)
                wanted = await ctx.step.run(key, _as_is, reply, note=f"{tool} needs input")
            responses = await ask_person(ctx, self._role, wanted, confidential=self._confidential)
            state = wanted.state
        raise ToolError(f"{tool} asked for input {_MAX_INPUTS} times and was given up")


async def _as_is(wanted: Wanted) -> Wanted:
    return wanted


async def _already_recorded() -> Wanted:
    raise AssertionError("the request is in the log")


def _text_of(reply: Reply) -> str:
    if reply.is_error:
        raise ToolError(reply.text or "the tool failed and did not say why")
    return reply.text


def _of_this_loop(lock: asyncio.Lock) -> bool:
    loop = getattr(lock, "_loop", None)
    return loop is None or loop is asyncio.get_running_loop()


__all__ = ["McpLost", "McpServer", "mcp_server"]
