"""Never run: mypy and pyright check that `@tool` keeps the types of what it decorates."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import timedelta
from typing import Annotated, Any, assert_type

from layby.models import Model, anthropic
from layby.tools.context import ToolContext
from layby.tools.render import render
from layby.tools.tool import Tool, tool


@tool
async def search(ctx: ToolContext, keyword: Annotated[str, "A keyword"]) -> list[str]:
    return [keyword, repr(ctx)]


@tool(name="count", retries=2, timeout="30s")
def count(limit: int = 3) -> int:
    return limit


@tool()
def nothing() -> None: ...


def plain(key: str) -> bytes:
    return key.encode()


made = tool(plain, timeout=timedelta(seconds=3))


async def calls(ctx: ToolContext) -> None:
    assert_type(await search(ctx, "login"), list[str])
    assert_type(await search(ctx, keyword="login"), list[str])
    assert_type(count(), int)
    assert_type(count(limit=1), int)
    assert_type(made("key"), bytes)
    assert_type(search.timeout, float | None)
    assert_type(count.validate({"limit": 1}), dict[str, Any])
    assert_type(render(await count.invoke(ctx, {})), str)
    await search("login")  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    count("many")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    search.name = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def kinds() -> None:
    any_tools: list[Tool] = [search, count, nothing, made]
    several: list[Tool[..., Any]] = any_tools
    exact: Tool[[str], bytes] = made
    given: Tool[[ToolContext, str], Coroutine[Any, Any, list[str]]] = search  # pyright: ignore  # noqa: PGH003
    model: Model = anthropic("claude-haiku-4-5", timeout="5m", thinking={"type": "adaptive"})
    del several, exact, given, model
    tool(retries="2")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    tool(3)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
