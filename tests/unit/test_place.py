"""The place in user code that an exception came from, as the log records it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from layby import Retry
from layby.runtime.code_place import Place
from layby.runtime.entry import Failure
from layby.runtime.errors import StepFailed
from layby.runtime.failure import failure_of, reason_of
from layby.runtime.place import place_of

HERE = "tests/unit/test_place.py"


def raised(function: Callable[[], Any]) -> BaseException:
    try:
        function()
    except BaseException as error:  # noqa: BLE001
        return error
    raise AssertionError


def test_the_innermost_frame_of_user_code_counts() -> None:
    def broken() -> None:
        json.loads("{")

    place = place_of(raised(broken))
    assert place is not None
    assert (place.file, place.function) == (HERE, "broken")
    assert place.line == broken.__code__.co_firstlineno + 1


def test_frames_of_layby_do_not_count() -> None:
    place = place_of(raised(lambda: Retry(longest="never").pause(1, ValueError())))
    assert place is not None
    assert place.function == "<lambda>"


def test_an_error_without_user_code_has_no_place() -> None:
    assert place_of(ValueError("never raised")) is None


def test_an_app_that_is_installed_is_user_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "site-packages" / "shop_of_place"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "till.py").write_text("def pay(order):\n    return order['amount']\n")
    monkeypatch.syspath_prepend(str(folder.parent))
    from shop_of_place import till  # type: ignore[import-not-found]  # noqa: PLC0415

    code = compile("pay({})", str(tmp_path / "site-packages" / "anyio" / "x.py"), "exec")
    error = raised(lambda: exec(code, {"pay": till.pay, "__name__": "anyio.x"}))  # noqa: S102
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_globals["__name__"] != till.__name__:
        traceback = traceback.tb_next
    place = place_of(error.with_traceback(traceback))
    assert place == Place(file="shop_of_place/till.py", line=2, function="pay")
    assert "shop_of_place.till" in sys.modules


def test_a_place_names_no_folder_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("class Till:\n    def pay(self):\n        raise KeyError(1)\n")
    names: dict[str, Any] = {"__name__": "app"}
    exec(compile((tmp_path / "app.py").read_text(), str(tmp_path / "app.py"), "exec"), names)  # noqa: S102
    place = place_of(raised(names["Till"]().pay))
    assert place == Place(file="app.py", line=3, function="Till.pay")


async def test_a_group_is_described_by_its_members() -> None:
    async def one() -> None:
        raise KeyError("a")

    async def body() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(one())

    with pytest.raises(ExceptionGroup) as caught:
        await body()
    failure = failure_of(caught.value)
    assert failure.message == "unhandled errors in a TaskGroup (1 sub-exception): KeyError: 'a'"
    assert failure.place is not None
    assert failure.place.function == "one"


def test_an_exception_that_cannot_be_printed_is_described_by_its_type() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    assert failure_of(Broken()).message == "Broken"


def test_a_failed_step_passes_on_its_place_when_it_is_copied() -> None:
    place = Place(file="shop/app.py", line=41, function="pay")
    error = StepFailed("pay", "'amount'", "KeyError", 3, place=place, causes=["OSError"])
    failure = failure_of(error)
    assert failure == Failure(
        type="KeyError", message="'amount'", attempts=3, place=place, causes=["OSError"]
    )


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (Failure(type="KeyError", message="'amount'"), "KeyError: 'amount'"),
        (Failure(type="Silent", message="Silent"), "Silent"),
        (Failure(type="E", message="line\nline"), "E: line\nline"),
        (
            Failure(
                type="KeyError",
                message="'amount'",
                place=Place(file="shop/app.py", line=41, function="pay"),
            ),
            "KeyError: 'amount' in pay (shop/app.py:41)",
        ),
    ],
)
def test_a_failure_is_described_in_one_way(failure: Failure, text: str) -> None:
    assert reason_of(failure) == text
