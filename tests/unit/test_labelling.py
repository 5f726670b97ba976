"""Title and labels of runs, from the fields of their events."""

from __future__ import annotations

from typing import Any

import pytest

from layby.actors.workflows.labelling import Labelling
from layby.runtime.errors import InvalidSetup

EVENT: dict[str, Any] = {
    "subject": "Cannot\nlog in",
    "data": {"plan": "pro", "vip": True, "seats": 12},
    "tags": [],
}


def test_they_are_read_from_fields_and_paths() -> None:
    labelling = Labelling(
        "subject", {"plan": "data.plan", "vip": "data.vip", "seats": "data.seats"}
    )

    assert labelling.title(EVENT) == "Cannot log in", "on one line"
    assert labelling.labels(EVENT) == {"plan": "pro", "vip": "true", "seats": "12"}


def test_what_is_missing_or_no_single_value_gives_nothing() -> None:
    labelling = Labelling("data", {"tags": "tags", "nobody": "data.nobody", "deep": "subject.x"})

    assert labelling.title(EVENT) == ""
    assert labelling.labels(EVENT) == {}


def test_nothing_is_read_unless_it_is_declared() -> None:
    assert (Labelling().title(EVENT), Labelling().labels(EVENT)) == ("", {})


def test_long_values_are_cut() -> None:
    labelling = Labelling("text", {"text": "text"})

    assert len(labelling.title({"text": "x" * 1000})) == 200
    assert labelling.labels({"text": "x" * 1000})["text"] == "x" * 99 + "…"


@pytest.mark.parametrize("name", ["", "a:b", "two words", "-x", "é", "x" * 64])
def test_a_name_that_cannot_be_typed_is_refused(name: str) -> None:
    with pytest.raises(InvalidSetup, match="cannot name a label"):
        Labelling(labels={name: "data"})


def test_too_many_labels_are_refused() -> None:
    with pytest.raises(InvalidSetup, match="17 labels, more than 16"):
        Labelling(labels={f"l{n}": "data" for n in range(17)})
