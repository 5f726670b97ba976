from __future__ import annotations

import asyncio
import contextvars
import functools
import pickle
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import pytest
from pydantic import BaseModel, Field, SecretStr, field_validator

from layby.runtime.errors import InvalidSetup, LaybyError, Parked
from layby.tools import errors
from layby.tools.context import ToolContext
from layby.tools.errors import InvalidArguments, ToolError, ToolTimedOut, UnknownTool
from layby.tools.render import render
from layby.tools.tool import Tool, tool

if TYPE_CHECKING:
    from decimal import Decimal as Hidden

CTX = ToolContext.__new__(ToolContext)  # what it holds is no matter of these tests


class Priority(Enum):
    LOW = "low"
    HIGH = "high"


class Filter(BaseModel, extra="forbid"):
    title: str
    since: date | None = None

    @field_validator("title")
    @classmethod
    def not_blank(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("must not be blank")
        return value


@tool
async def search(
    ctx: ToolContext,
    keyword: Annotated[str, "A keyword to search for"],
    limit: int = 5,
    tags: set[str] | None = None,
) -> list[str]:
    """Search the knowledge base,
    newest first.

    Args:
        ctx: Never shown.
        keyword: Loses against the annotation.
        limit (int): How many articles
            at most.
        tags: Only these.

    Returns:
        tags: not a parameter.
    """
    return [f"{keyword} {limit} {sorted(tags or ())} {type(ctx).__name__}"]


# -- what the model is told


def test_a_tool_is_described_by_its_function() -> None:
    assert search.name == "search"
    assert search.description == "Search the knowledge base, newest first."
    assert search.parameters == {
        "type": "object",
        "properties": {
            "keyword": {"type": "string", "description": "A keyword to search for"},
            "limit": {"type": "integer", "default": 5, "description": "How many articles at most."},
            "tags": {
                "anyOf": [
                    {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
                    {"type": "null"},
                ],
                "default": None,
                "description": "Only these.",
            },
        },
        "required": ["keyword"],
        "additionalProperties": False,
    }
    assert (search.retries, search.timeout) == (0, None)
    assert repr(search) == "Tool('search')"


def test_a_tool_without_parameters_takes_an_empty_object() -> None:
    @tool
    def now() -> str:
        return "12:00"

    assert now.description == ""
    assert now.parameters == {"type": "object", "properties": {}, "additionalProperties": False}
    assert now.validate({}) == {}


def test_pydantic_fields_models_and_enums_reach_the_schema() -> None:
    @tool
    def find(
        where: Filter,
        how: Annotated[int, Field(ge=1, description="Depth")] = 1,
        priority: Priority = Priority.LOW,
        order: Literal["up", "down"] = Field(default="up", description="Order"),
    ) -> None:
        """Find."""

    properties = find.parameters["properties"]
    assert properties["where"] == {"$ref": "#/$defs/Filter"}
    assert properties["how"] == {
        "type": "integer", "minimum": 1, "default": 1, "description": "Depth",
    }  # fmt: skip
    assert properties["priority"] == {"$ref": "#/$defs/Priority", "default": "low"}
    assert properties["order"]["description"] == "Order"
    defined = find.parameters["$defs"]["Filter"]["properties"]
    assert set(defined) == {"title", "since"}, "a property named title is no title"
    assert find.validate({"where": {"title": "x", "since": "2026-01-31"}}) == {
        "where": Filter(title="x", since=date(2026, 1, 31)),
        "how": 1,
        "priority": Priority.LOW,
        "order": "up",
    }


def test_any_parameter_name_is_possible() -> None:
    @tool
    def odd(json: str, _x: int, model_config: list[int], schema: str = "s") -> str:
        return f"{json} {_x} {model_config} {schema}"

    assert list(odd.parameters["properties"]) == ["json", "_x", "model_config", "schema"]
    validated = odd.validate({"json": "{}", "_x": 1, "model_config": [1]})
    assert odd(**validated) == "{} 1 [1] s"


def test_types_defined_next_to_the_tool_are_found() -> None:
    class Local(BaseModel):
        n: int

    @tool
    def plain(value: Local) -> Hidden:  # the return annotation is nobody's business
        raise NotImplementedError

    @tool(name="other")
    def called(values: list[Local]) -> None: ...

    assert plain.validate({"value": {"n": 1}}) == {"value": Local(n=1)}
    assert called.validate({"values": [{"n": 1}]}) == {"values": [Local(n=1)]}


def test_options() -> None:
    def look_up(key: str) -> str:
        """Look it up."""
        return key

    made = tool(look_up, name="get-it", description="Get it", retries=3, timeout="1.5m")
    assert (made.name, made.description) == ("get-it", "Get it")
    assert (made.retries, made.timeout) == (3, 90.0)
    assert tool(timeout=timedelta(minutes=1))(look_up).timeout == 60
    assert tool(timeout=0.25)(look_up).timeout == 0.25


def test_callable_objects_and_methods() -> None:
    class Store:
        async def get(self, key: Annotated[str, "Key"]) -> str:
            """Get it."""
            return key

        def __call__(self, key: str) -> str:
            return key

    assert tool(Store().get).name == "get"
    assert list(tool(Store().get).parameters["properties"]) == ["key"]
    assert tool(Store(), name="store").validate({"key": "k"}) == {"key": "k"}
    assert tool(functools.partial(Store(), key="k"), name="part").validate({}) == {"key": "k"}


def test_a_tool_is_frozen_and_still_callable() -> None:
    with pytest.raises(AttributeError):
        search.name = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    assert asyncio.run(search(CTX, "login", limit=1)) == ["login 1 [] ToolContext"]


# -- declarations that cannot work


def echo(key: str) -> str:
    return key


def unannotated(key: str) -> str:
    return key


unannotated.__annotations__.clear()


def starred(*keys: str) -> None: ...
def double_starred(**keys: str) -> None: ...
def positional(key: str, /) -> None: ...
def two_contexts(a: ToolContext, b: ToolContext) -> None: ...
def callback(then: Callable[[], None]) -> None: ...
def handle(ok: str, lock: threading.Event) -> None: ...
def hidden(amount: Hidden) -> None: ...
def none() -> None: ...


def yields() -> Iterator[int]:
    yield 1


async def yields_async() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (unannotated, "tool 'unannotated': parameter 'key': annotate it, as in `key: str`"),
        (starred, "parameter 'keys': a model cannot fill *args"),
        (double_starred, "parameter 'keys': a model cannot fill *args or **kwargs"),
        (positional, "parameter 'key': a model names its arguments"),
        (two_contexts, "at most one parameter may be a ToolContext, not ['a', 'b']"),
        (callback, "parameter 'then': a model cannot send"),
        (handle, "parameter 'lock': a model cannot send Event as JSON; use str"),
        (hidden, "parameter 'amount': the annotation 'Hidden' cannot be resolved"),
        (none, "not auto, any or none"),
        (yields, "make it return its result"),
        (yields_async, "make it return its result"),
        (lambda: None, "give `name=`"),
        (functools.partial(none), "give `name=`"),
        ("text", "not 'text'"),
        (int.from_bytes, "parameter"),
        (min, "its signature cannot be read"),
    ],
)
def test_a_bad_tool_says_why(function: Any, said: str) -> None:
    with pytest.raises(InvalidSetup) as caught:
        tool(function)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"retries": -1}, "retries=-1"),
        ({"retries": True}, "retries=True"),
        ({"timeout": 0}, "timeout=0"),
        ({"timeout": "soon"}, "timeout='soon'"),
        ({"timeout": float("nan")}, "timeout=nan"),
        ({"name": "no spaces"}, "'no spaces'"),
        ({"name": ""}, "''"),
        ({"name": "x" * 65}, "1 to 64"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidSetup) as caught:
        tool(**options)(echo)
    assert said in str(caught.value)


# -- what the model sends


def test_arguments_are_converted_and_completed() -> None:
    assert search.validate({"keyword": "a", "limit": "7", "tags": ["x", "x"]}) == {
        "keyword": "a",
        "limit": 7,
        "tags": {"x"},
    }
    assert search.validate({"keyword": "a"}) == {"keyword": "a", "limit": 5, "tags": None}


NO_INTEGER = "Input should be a valid integer, unable to parse string as an integer"


def test_each_wrong_field_is_named_with_its_reason() -> None:
    with pytest.raises(InvalidArguments) as caught:
        search.validate({"limit": "many", "colour": "red", "ctx": {}})
    assert str(caught.value).splitlines() == [
        "invalid arguments for search:",
        "- keyword: required, but missing",
        f'- limit: {NO_INTEGER} (got "many")',
        "- colour: unexpected; the parameters are: keyword, limit, tags",
        "- ctx: unexpected; the parameters are: keyword, limit, tags",
    ]


def test_problems_inside_models_and_long_inputs() -> None:
    @tool
    def find(where: list[Filter]) -> None: ...

    with pytest.raises(InvalidArguments) as caught:
        find.validate({"where": [{"title": " "}, {"title": "x", "since": "y" * 999}]})
    assert '- where.0.title: must not be blank (got " ")' in str(caught.value)
    assert len(str(caught.value)) < 300
    with pytest.raises(InvalidArguments, match=r"- where\.0\.name: unexpected$"):
        find.validate({"where": [{"title": "x", "name": "y"}]})
    with pytest.raises(InvalidArguments, match="and 15 more"):
        find.validate({"where": [{} for _ in range(25)]})


def test_arguments_that_are_not_an_object() -> None:
    with pytest.raises(InvalidArguments, match="arguments: Input should be an object"):
        search.validate(["keyword"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# -- running it


async def test_an_async_tool_gets_the_context() -> None:
    validated = search.validate({"keyword": "login", "tags": ["b", "a"]})
    assert await search.invoke(CTX, validated) == ["login 5 ['a', 'b'] ToolContext"]


async def test_a_sync_tool_runs_in_a_thread_with_this_tasks_variables() -> None:
    ticket = contextvars.ContextVar("ticket", default="none")

    @tool
    def where() -> tuple[str, bool]:
        return ticket.get(), threading.current_thread() is threading.main_thread()

    ticket.set("T125")
    assert await where.invoke(CTX, {}) == ("T125", False)


async def test_a_sync_function_may_return_an_awaitable() -> None:
    async def later() -> str:
        return "later"

    def start() -> Awaitable[str]:
        return later()

    assert await tool(start).invoke(CTX, {}) == "later"


async def test_a_callable_object_with_an_async_call() -> None:
    class Answer:
        async def __call__(self, ctx: ToolContext) -> str:
            return type(ctx).__name__

    assert await tool(Answer(), name="answer").invoke(CTX, {}) == "ToolContext"


async def test_a_timeout_is_the_tools_own_error() -> None:
    cancelled = asyncio.Event()

    @tool(timeout=0.01)
    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(ToolTimedOut, match=r"slow gave no result in 0\.01 s"):
        await slow.invoke(CTX, {})
    assert cancelled.is_set()


async def test_a_sync_tool_that_hangs_times_out() -> None:
    release = threading.Event()

    @tool(timeout=0.01)
    def hang() -> None:
        release.wait(5)

    try:
        with pytest.raises(ToolTimedOut):
            await hang.invoke(CTX, {})
    finally:
        release.set()


async def test_a_timeout_inside_the_tool_stays_what_it_is() -> None:
    @tool(timeout=5)
    async def fails() -> None:
        raise TimeoutError("upstream")

    with pytest.raises(TimeoutError, match="upstream"):
        await fails.invoke(CTX, {})


async def test_a_sync_tool_that_stops_an_iteration_does_not_hang() -> None:
    @tool
    def first() -> int:
        return next(iter([]))

    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.wait_for(first.invoke(CTX, {}), 30)


async def test_signals_of_the_runtime_pass() -> None:
    @tool(timeout=5)
    def park() -> None:
        raise Parked

    with pytest.raises(Parked):
        await park.invoke(CTX, {})


# -- what the model sees of the result


class Article(msgspec.Struct, tag="article", rename="camel"):
    short_title: str
    key: SecretStr


@dataclass
class Shelf:
    articles: list[Article]
    filter: Filter


class Account(BaseModel):
    token: SecretStr


class Broken(BaseModel):
    def __repr__(self) -> str:
        return "hunter2"

    @property
    def loop(self) -> list[Any]:
        loop: list[Any] = []
        loop.append(loop)
        return loop


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain \u00e9", "plain \u00e9"),
        ("", ""),
        (None, "done"),
        (0, "0"),
        (False, "false"),
        ([], "[]"),
        (Priority.HIGH, "high"),
        ({"a": [1, None, "\u00e9"]}, '{"a":[1,null,"\u00e9"]}'),
        (datetime(2026, 1, 2, tzinfo=UTC), '"2026-01-02T00:00:00Z"'),
        ({1}, "[1]"),
        (b"text", '"text"'),
        (b"\xff", '"_w=="'),
        (float("inf"), '"Infinity"'),
        (Filter(title="x"), '{"title":"x","since":null}'),
        (Article("t", SecretStr("s")), '{"type":"article","shortTitle":"t","key":"**********"}'),
        (object(), '"<object>"'),
        (Broken().loop, "<list>"),
    ],
)
def test_render(value: object, shown: str) -> None:
    assert render(value) == shown


def test_no_secret_is_ever_rendered() -> None:
    secret = SecretStr("hunter2")
    article = Article("t", secret)
    shelf = Shelf([article], Filter(title="x"))
    for value in (secret, [secret], {secret: secret}, article, shelf, Account(token=secret)):
        assert "hunter2" not in render(value)
        assert "**********" in render(value)


# -- errors


@pytest.mark.parametrize(
    "error",
    [
        ToolError("no"),
        InvalidArguments("no"),
        ToolTimedOut("search", 1.5),
        UnknownTool("serach", ["search", "reply"]),
        InvalidSetup("no"),
    ],
)
def test_errors_pickle(error: LaybyError) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  our own
    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))


def test_every_error_of_the_tools_is_tested_above() -> None:
    named = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert named - {"LaybyError", "Iterable", "Any"} == {
        "Fatal", "ToolError", "InvalidArguments", "ToolTimedOut", "UnknownTool",
    }  # fmt: skip


def test_an_unknown_tool_says_which_exist() -> None:
    assert str(UnknownTool("serach", ["search", "reply"])) == (
        "there is no tool named 'serach'; the tools are: reply, search"
    )


def test_tools_are_compared_by_identity() -> None:
    tools: set[Tool] = {search, search}
    assert len(tools) == 1
