from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

import layby.bus.errors
import layby.runtime.errors
from layby.bus.errors import (
    BusError,
    Conflict,
    InvalidDuration,
    LaybyError,
    NoLeader,
    StreamMissing,
    class_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

ARGUMENTS: dict[str, tuple[object, ...]] = {
    "RetryAfter": (5.0, "what"),
    "StepFailed": ("step", "what", "KeyError", 3),
}


def below(base: type[LaybyError]) -> Iterator[type[LaybyError]]:
    yield base
    for child in base.__subclasses__():
        yield from below(child)


def ours(base: type[LaybyError]) -> list[type[LaybyError]]:
    modules = {layby.bus.errors.__name__, layby.runtime.errors.__name__}
    return [cls for cls in below(base) if cls.__module__ in modules]


@pytest.mark.parametrize("cls", ours(BusError))
def test_bus_errors_survive_pickling(cls: type[BusError]) -> None:
    twin = pickle.loads(pickle.dumps(cls("what", subject="to.x", code=7)))  # noqa: S301
    assert (type(twin), str(twin), twin.subject, twin.code) == (cls, "what", "to.x", 7)


@pytest.mark.parametrize("cls", ours(LaybyError))
def test_every_error_survives_pickling(cls: type[LaybyError]) -> None:
    first = cls(*ARGUMENTS.get(cls.__name__, ("what",)))
    twin = pickle.loads(pickle.dumps(first))  # noqa: S301
    assert (type(twin), str(twin), vars(twin)) == (cls, str(first), vars(first))


@pytest.mark.parametrize("cls", ours(BusError))
def test_message_defaults_to_the_first_line_of_the_docstring(cls: type[BusError]) -> None:
    assert str(cls()) == (cls.__doc__ or "").splitlines()[0]


def test_tree_in_the_docstring_names_every_error() -> None:
    drawn = layby.bus.errors.__doc__ or ""
    here = [cls for cls in ours(BusError) if cls.__module__ == layby.bus.errors.__name__]
    for cls in (*here, InvalidDuration):
        assert f"{cls.__name__} " in drawn.replace("\n", " \n")


@pytest.mark.parametrize(
    ("code", "cls"),
    [
        (10071, Conflict),
        (10164, Conflict),
        (10059, StreamMissing),
        (10008, NoLeader),
        (1, BusError),
    ],
)
def test_server_codes_become_classes(code: int, cls: type[BusError]) -> None:
    assert class_for(code) is cls


def test_both_floors_share_one_base() -> None:
    assert layby.runtime.errors.LaybyError is LaybyError
