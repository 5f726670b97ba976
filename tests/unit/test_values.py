"""Values of users, written to the log and read back."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Generic, Literal, NamedTuple, Optional, TypedDict, TypeVar
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr

from layby.runtime.values import BadValue, dump, load, returned_type
from tests.examples import examples

T = TypeVar("T")


class Priority(Enum):
    LOW = "low"
    HIGH = "high"


class Customer(BaseModel):
    name: str
    since: datetime | None = None


class Box(BaseModel, Generic[T]):
    content: T


class Order(msgspec.Struct):
    number: int
    lines: list[str] = []


@dataclass
class Note:
    text: str
    tags: set[str] = field(default_factory=set[str])


@dataclass
class Visit:
    """A dataclass that holds a pydantic model."""

    customer: Customer
    notes: list[Note]


class Shelf(msgspec.Struct):
    """A struct that holds a pydantic model."""

    customer: Customer


class Point(NamedTuple):
    x: int
    y: int


class Options(TypedDict):
    verbose: bool


class Secret(BaseModel):
    key: SecretStr


AT = datetime(2026, 3, 1, 9, 30, 0, 123_000, tzinfo=UTC)
ADA = Customer(name="Ada", since=AT)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (None, None),
        (None, type(None)),
        ("text ✓", str),
        (True, bool),
        (7, int),
        (2**62, int),
        (2**70, int),
        (1.5, float),
        (b"\x00\xff", bytes),
        ([1, 2], list[int]),
        ({"a": [1]}, dict[str, list[int]]),
        ({1: "a"}, dict[int, str]),
        ((1, "a"), tuple[int, str]),
        ({1, 2}, set[int]),
        (AT, datetime),
        (datetime(2026, 3, 1, 9, 30), datetime),  # noqa: DTZ001  a naive one stays naive
        (date(2026, 3, 1), date),
        (timedelta(hours=1), timedelta),
        (Decimal("1.10"), Decimal),
        (UUID(int=1), UUID),
        (Priority.HIGH, Priority),
        (ADA, Customer),
        ([ADA, ADA], list[Customer]),
        ({"a": ADA}, dict[str, Customer]),
        (None, Optional[Customer]),  # noqa: UP045  people write it
        (ADA, Customer | None),
        (Box[int](content=1), Box[int]),
        (Box[Customer](content=ADA), Box[Customer]),
        (Order(1, ["a"]), Order),
        ([Order(1)], list[Order]),
        (Note("a", {"x"}), Note),
        (Visit(ADA, [Note("a")]), Visit),
        ([Visit(ADA, [])], list[Visit]),
        (Shelf(ADA), Shelf),
        (Point(1, 2), Point),
        ({"verbose": True}, Options),
        ("low", Literal["low", "high"]),
        (3, Annotated[int, Field(gt=2)]),
        ({"any": [1, "a", None]}, Any),
        ({"any": 1}, dict[str, Any]),
        ("x", object),
    ],
)
def test_a_value_is_read_back_as_it_was(value: Any, annotation: Any) -> None:
    assert load(dump(value), annotation) == value
    again = load(dump(load(dump(value), annotation)), annotation)
    assert again == value


def test_without_an_annotation_values_are_plain_json() -> None:
    assert load(dump(ADA)) == {"name": "Ada", "since": "2026-03-01T09:30:00.123000Z"}
    assert load(dump(Note("a", {"x"}))) == {"text": "a", "tags": ["x"]}
    assert load(dump((1, 2))) == [1, 2]


def test_secrets_are_never_written() -> None:
    secret = Secret(key=SecretStr("hunter2"))
    for value in (secret, {"deep": [secret]}, SecretStr("hunter2"), Box[Secret](content=secret)):
        assert b"hunter2" not in bytes(dump(value))
        assert b"**********" in bytes(dump(value))


class Plain:
    def __repr__(self) -> str:
        return "Plain(hunter2)"


def cycle() -> list[Any]:
    inner: list[Any] = []
    inner.append(inner)
    return inner


@pytest.mark.parametrize(
    "value",
    [object(), Plain(), [Plain()], {"a": Plain()}, len, {(1, 2): 3}, "\ud800", cycle()],
    ids=["object", "plain", "list", "dict", "function", "key", "surrogate", "cycle"],
)
def test_a_value_without_json_is_reported_without_its_contents(value: Any) -> None:
    with pytest.raises(BadValue) as caught:
        dump(value)
    assert str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.retryable is False


@pytest.mark.parametrize(
    ("raw", "annotation"),
    [
        (b'"a"', int),
        (b'{"name": 1}', Customer),
        (b"{}", Customer),
        (b"[]", Order),
        (b"{}", list[Customer]),
        (b'"middle"', Priority),
        (b"[", Any),
        (b"", Any),
        (b"[" * 100_000, Any),
    ],
    ids=str,
)
def test_a_value_that_does_not_fit_its_type_is_reported(raw: bytes, annotation: Any) -> None:
    with pytest.raises(BadValue, match="a recorded value is not a"):
        load(raw, annotation)


def test_what_is_not_a_number_is_read_as_none() -> None:
    """JSON knows no NaN; the declared type then says that it is missing."""
    assert load(dump(math.nan)) is None
    with pytest.raises(BadValue):
        load(dump(math.nan), float)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text('ab ä\0"\\', max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner),
    max_leaves=8,
)


@settings(
    deadline=None,
    database=None,
    max_examples=examples(100),
    suppress_health_check=[HealthCheck.too_slow],
)
@given(json_values)
def test_all_that_is_json_stays_as_it_is(value: Any) -> None:
    assert load(dump(value)) == value
    assert load(dump(value), object) == value


# -- what a function declares ------------------------------------------------------------------


def returns_order() -> Order:
    return Order(1)


async def returns_list() -> list[Customer]:
    return []


def says_nothing():  # type: ignore[no-untyped-def]
    return 1


def unknown() -> Nowhere:  # type: ignore[name-defined]  # noqa: F821
    return 1


NOWHERE: Any = unknown  # pyright: ignore[reportUnknownVariableType]


class Caller:
    def method(self) -> int:
        return 1

    def __call__(self) -> str:
        return ""


@pytest.mark.parametrize(
    ("fn", "wanted"),
    [
        (returns_order, Order),
        (returns_list, list[Customer]),
        (says_nothing, Any),
        (NOWHERE, Any),
        (functools.partial(returns_order), Order),
        (Caller().method, int),
        (lambda: 1, Any),
        (len, Any),
        (str, Any),
    ],
)
def test_the_declared_type_of_a_function(fn: Callable[..., Any], wanted: Any) -> None:
    assert returned_type(fn) == wanted


def test_the_declared_type_of_an_object_that_can_be_called() -> None:
    assert returned_type(Caller()) in {str, Any}
