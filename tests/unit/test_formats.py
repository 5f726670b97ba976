"""Formats that releases share: each is documented, and what is newer is recognized."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from layby.runtime.entry import Record
from layby.runtime.envelope import is_newer, read
from layby.runtime.state import FORM, FORMS

PAGE = (Path(__file__).parents[2] / "docs" / "versioning.md").read_text()
KINDS = {each.__struct_config__.tag for each in get_args(Record)}
FIRST = {
    *("answered", "arrived", "asked", "awaited", "blocked", "called", "cancelled", "claimed"),
    *("ended", "expired", "failed", "joined", "proposed", "removed", "reopened", "resumed"),
    *("retried", "returned", "slept", "spawned", "started", "step", "unblocked", "withdrawn"),
    "woken",
}
"""What every release reads; each later kind is on the page."""


def table(heading: str) -> list[list[str]]:
    """The rows of the table with this first heading, without its head."""
    _, _, rest = PAGE.partition(f"| {heading} |")
    lines = [line for line in rest.partition("\n\n")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_each_form_is_on_the_page() -> None:
    assert [int(row[0]) for row in table("Form")] == sorted(FORMS)
    assert min(FORMS) == FORM


def test_each_later_kind_of_record_is_on_the_page() -> None:
    _, _, section = PAGE.partition("Forms of a parked state")
    named = set(re.findall(r"`(\w+)`", section))
    assert named == KINDS - FIRST
    assert FIRST <= KINDS, "a kind that every release reads was removed"


def entry(*records: dict[str, Any]) -> bytes:
    return json.dumps({"op": "o", "at": 1.0, "records": records}).encode()


WOKEN: dict[str, Any] = {"k": "woken", "frame": "f", "key": "a"}


@pytest.mark.parametrize("records", [[{"k": "from-2030"}], [WOKEN, {"k": "from-2030", "x": 1}]])
def test_a_kind_that_nobody_knows_is_a_later_release_s(records: list[dict[str, Any]]) -> None:
    data = entry(*records)
    assert read(data) is None, "no part of it is acted on"
    assert is_newer(data)


def test_a_field_that_nobody_knows_is_passed_over() -> None:
    envelope = read(entry({**WOKEN, "from2030": [1]}))
    assert envelope is not None
    assert not is_newer(entry(WOKEN))


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", entry({"k": 7}), entry({}), b"\xff"])
def test_a_message_that_is_not_laybys_is_not_taken_for_a_later_releases(data: bytes) -> None:
    assert read(data) is None
    assert not is_newer(data)
