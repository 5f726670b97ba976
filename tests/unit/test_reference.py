"""docs/reference.md is what the code says."""

from __future__ import annotations

import inspect
import re

import pytest

import layby
from layby.client import Client
from tests import reference


def test_the_page_is_up_to_date() -> None:
    assert reference.PAGE.read_text() == reference.page(), "run `python -m tests.reference`"


def test_every_name_that_is_imported_from_layby_is_on_the_page() -> None:
    assert set(layby.__all__) <= set(re.findall(r"\w+", reference.PAGE.read_text()))


FUNCTIONS = [
    layby.App.__init__,
    layby.App.workflow,
    layby.tool,
    *(getattr(layby.Step, name) for name in ("run", "ask", "network", "agent", "workflow")),
    *(f for name, f in inspect.getmembers(Client, inspect.isfunction) if name[0] != "_"),
]


def test_every_parameter_is_on_the_page() -> None:
    page = reference.PAGE.read_text()
    for function in FUNCTIONS:
        for name in inspect.signature(function).parameters:
            assert name == "self" or f"| `{name}` |" in page or f"| `*{name}` |" in page


def test_a_parameter_without_a_meaning_is_refused() -> None:
    def bare(what: str) -> None:
        """Do it."""

    with pytest.raises(reference.Undescribed, match="say in its docstring what `what` is"):
        reference._function("bare(...)", bare)  # pyright: ignore[reportPrivateUsage]
