"""One connection to an MCP server, held by a task of its own. The only module that uses `mcp`."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, cast

import structlog

from ..runtime.errors import LaybyError
from .errors import ToolError
from .mcp_wire import Listed, Reply, Wanted, reply_of, wanted_of

if TYPE_CHECKING:  # loading the package takes half a second
    from mcp import Client

log = structlog.get_logger("layby.mcp")

_CLOSE_SECONDS = 10.0
_PAGES = 50


class McpLost(LaybyError):
    """An MCP server cannot be reached, or was lost during a call, which may have taken effect."""

    retryable = True


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A server's address and credentials. Its `repr` shows no secret."""

    name: str
    command: tuple[str, ...] = field(default=(), repr=False)
    url: str = field(default="", repr=False)
    env: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    cwd: str | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    timeout: float = 60.0

    def without_secrets(self, text: str) -> str:
        """A message of the server or the package, without the credentials that we have sent."""
        secrets = [*self.env.values(), *self.headers.values(), self.url, *self.command[1:]]
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            if len(secret) > 3:  # noqa: PLR2004  shorter ones would blank out half the message
                text = text.replace(secret, "***")
        return text


class Link:
    """A connection, from open to closed; it is never reopened."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._loop = asyncio.get_running_loop()
        self._closer = asyncio.Event()
        self._ready: asyncio.Future[Client] = self._loop.create_future()
        self._keeper = self._loop.create_task(self._keep(), name=f"mcp.{endpoint.name}")
        self._lost = False
        self.list_changed = False
        """Whether the server has announced that its list of tools has changed."""

    @classmethod
    async def open(cls, endpoint: Endpoint) -> Link:
        """Connect. Raises McpLost."""
        link = cls(endpoint)
        try:
            async with asyncio.timeout(endpoint.timeout):
                await asyncio.shield(link._ready)
        except BaseException as error:
            link._lost = True
            await link.close()
            if not isinstance(error, Exception):
                raise
            raise link._explained("cannot be reached", error) from None
        log.info("mcp.connected", server=endpoint.name)
        return link

    @property
    def usable(self) -> bool:
        """Whether calls can be sent over it from this event loop."""
        return (
            not self._lost
            and not self._keeper.done()
            and not self._closer.is_set()
            and self._loop is asyncio.get_running_loop()
        )

    async def close(self) -> None:
        """Close the connection and end the child process."""
        self._closer.set()
        if self._loop is not asyncio.get_running_loop():
            return  # it ended with its event loop
        done, _ = await asyncio.wait({self._keeper}, timeout=_CLOSE_SECONDS)
        if not done:
            self._keeper.cancel()
            await asyncio.wait({self._keeper}, timeout=_CLOSE_SECONDS)

    async def list_tools(self) -> list[Listed]:
        """Every tool of the server. Raises McpLost."""
        client = await self._ready
        found: list[Listed] = []
        cursor: str | None = None
        try:
            async with asyncio.timeout(self._endpoint.timeout):
                for _ in range(_PAGES):
                    page = await client.list_tools(cursor=cursor, cache_mode="refresh")
                    found += [_listed(tool) for tool in page.tools]
                    cursor = page.next_cursor
                    if not cursor:
                        break
        except Exception as error:  # noqa: BLE001  a server may do anything
            self._lost = True
            raise self._explained("does not list its tools", error) from None
        return found

    async def call(
        self,
        tool: str,
        arguments: dict[str, Any],
        responses: dict[str, Any] | None = None,
        state: str | None = None,
    ) -> Reply | Wanted:
        """Call a tool once.

        Raises:
            ToolError: the server refuses the call; its message is for the model.
            McpLost: the connection was lost, or the server did not answer in time.
        """
        from mcp import MCPError  # noqa: PLC0415
        from mcp.types import CONNECTION_CLOSED, REQUEST_TIMEOUT  # noqa: PLC0415

        client = await self._ready
        try:
            async with asyncio.timeout(self._endpoint.timeout):
                result = await client.session.call_tool(
                    tool,
                    arguments,
                    input_responses=_typed(responses),
                    request_state=state,
                    allow_input_required=True,
                )
        except MCPError as error:
            if error.code not in {CONNECTION_CLOSED, REQUEST_TIMEOUT}:
                raise ToolError(self._endpoint.without_secrets(error.message)) from None
            self._lost = self._lost or error.code == CONNECTION_CLOSED
            raise self._explained("was lost during the call", error) from None
        except TimeoutError as error:
            raise self._explained("did not answer in time", error) from None
        except Exception as error:  # noqa: BLE001  a server may do anything
            self._lost = True
            raise self._explained("was lost during the call", error) from None
        return reply_of(result) if result.result_type == "complete" else wanted_of(result)

    async def _keep(self) -> None:
        """Keep the connection open: the package wants it closed by the task that opened it."""
        try:
            async with _connected(self._endpoint, self) as client:
                self._ready.set_result(client)
                await self._closer.wait()
        except Exception as error:  # noqa: BLE001  raised where the connection is awaited
            if self._ready.done():
                why = self._endpoint.without_secrets(_innermost(error))
                log.warning("mcp.lost", server=self._endpoint.name, error=why)
            else:
                self._ready.set_exception(error)
        finally:
            self._lost = True
            if not self._ready.done():
                self._ready.cancel()

    async def on_message(self, message: Any) -> None:
        """Note a message that the server sends on its own."""
        if type(message).__name__ == "ToolListChangedNotification":
            self.list_changed = True

    def on_end(self) -> None:
        """Note that the server will send nothing more."""
        self._lost = True

    def _explained(self, what: str, error: Exception) -> McpLost:
        why = self._endpoint.without_secrets(_innermost(error))
        return McpLost(f"the MCP server {self._endpoint.name!r} {what}: {why}")


@contextlib.asynccontextmanager
async def _connected(endpoint: Endpoint, link: Link) -> AsyncGenerator[Client]:
    from mcp import Client  # noqa: PLC0415
    from mcp.types import ElicitResult  # noqa: PLC0415

    async def elicit(context: Any, params: Any) -> ElicitResult:
        del context, params
        # A server with an older protocol asks during the call, which cannot be parked for hours.
        log.info("mcp.elicitation_cancelled", server=endpoint.name)
        return ElicitResult(action="cancel")

    async with contextlib.AsyncExitStack() as stack:
        transport = await _transport(endpoint, link, stack)
        yield await stack.enter_async_context(
            Client(
                transport,
                read_timeout_seconds=endpoint.timeout,
                elicitation_callback=elicit,
                message_handler=link.on_message,
                cache=None,
            )
        )


async def _transport(endpoint: Endpoint, link: Link, stack: contextlib.AsyncExitStack) -> Any:
    if endpoint.command:
        return _over_stdio(endpoint, link, stack)
    from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415
    from mcp.shared._httpx_utils import create_mcp_http_client  # noqa: PLC0415

    http = await stack.enter_async_context(create_mcp_http_client(headers=endpoint.headers))
    return streamable_http_client(endpoint.url, http_client=http)


@contextlib.asynccontextmanager
async def _over_stdio(
    endpoint: Endpoint, link: Link, stack: contextlib.AsyncExitStack
) -> AsyncGenerator[Any]:
    from mcp import StdioServerParameters, stdio_client  # noqa: PLC0415

    command, *args = endpoint.command
    server = StdioServerParameters(command=command, args=args, env=endpoint.env, cwd=endpoint.cwd)
    # A server may write anything to its standard error, secrets included: we do not log it.
    nowhere = stack.enter_context(open(os.devnull, "w"))  # noqa: ASYNC230, PTH123, SIM115
    async with stdio_client(server, errlog=nowhere) as (read, write):
        yield _Watched(read, link), write


class _Watched:
    """A stream of messages that reports its end, so that nothing is sent to a dead server."""

    def __init__(self, stream: Any, link: Link) -> None:
        self._stream = stream
        self._link = link

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __aiter__(self) -> _Watched:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._stream.__anext__()
        except BaseException:
            self._link.on_end()
            raise

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *about: object) -> Any:
        return await self._stream.__aexit__(*about)


def _listed(tool: Any) -> Listed:
    description = tool.description or tool.title or ""
    return Listed(name=tool.name, description=description, parameters=tool.input_schema)


def _typed(responses: dict[str, Any] | None) -> Any:
    from mcp.types import ElicitResult  # noqa: PLC0415

    if responses is None:
        return None
    return {key: ElicitResult.model_validate(value) for key, value in responses.items()}


def _innermost(error: BaseException) -> str:
    """The reason inside the exception groups that the package's task groups raise."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseException", error.exceptions[0])
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
