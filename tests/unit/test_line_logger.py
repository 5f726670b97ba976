"""When a worker's log lines are written."""

from __future__ import annotations

import asyncio
import threading

import pytest

from layby.runtime import line_logger
from layby.runtime.line_logger import LineLogger


class Written:
    """A stream that remembers each write."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def write(self, text: str, /) -> None:
        self.texts.append(text)

    def flush(self) -> None:
        """There is nothing to do."""


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No line comes alone."""
    monkeypatch.setattr(line_logger, "_QUIET", float("inf"))


async def test_a_lone_line_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_logger, "_QUIET", 0.0)
    stream = Written()
    lines = LineLogger(stream)
    lines.info("one")
    lines.debug("two")
    assert stream.texts == ["one\n", "two\n"]


@pytest.mark.usefixtures("busy")
async def test_lines_of_one_turn_are_written_together() -> None:
    stream = Written()
    lines = LineLogger(stream)
    lines.info("one")
    lines.info("two")
    assert stream.texts == []
    await asyncio.sleep(0)
    assert stream.texts == ["one\ntwo\n"]
    lines.info("three")
    await asyncio.sleep(0)
    assert stream.texts[1:] == ["three\n"]


@pytest.mark.usefixtures("busy")
async def test_a_warning_does_not_wait_and_overtakes_nothing() -> None:
    stream = Written()
    lines = LineLogger(stream)
    lines.info("one")
    lines.warning("two")
    assert stream.texts == ["one\ntwo\n"]
    await asyncio.sleep(0)
    assert len(stream.texts) == 1


@pytest.mark.usefixtures("busy")
def test_without_an_event_loop_nothing_waits() -> None:
    stream = Written()
    LineLogger(stream).info("one")
    assert stream.texts == ["one\n"]


@pytest.mark.usefixtures("busy")
async def test_threads_lose_no_line() -> None:
    stream = Written()
    lines = LineLogger(stream)

    def tell(name: str) -> None:
        for number in range(200):
            lines.info(f"{name}{number}")

    threads = [threading.Thread(target=tell, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for number in range(200):
        lines.info(f"d{number}")
        await asyncio.sleep(0)
    for thread in threads:
        thread.join()
    lines.flush()
    found = "".join(stream.texts).splitlines()
    assert sorted(found) == sorted(f"{name}{number}" for name in "abcd" for number in range(200))
    assert [line for line in found if line[0] == "a"] == [f"a{number}" for number in range(200)]
