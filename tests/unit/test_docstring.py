"""What a tool's docstring tells the model: its first paragraph, and each parameter."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layby.tools.docstring import parameters, summary
from tests.examples import examples

FULL = """Pay money back
    to a customer.

    Only for orders of this year.

    Args:
        amount: How much, in euros.
        to (str): Whom;
            their login, not
            their name.
        *rest: More of them.

        note : Why.

    Returns:
        nothing: at all
    """


def test_the_first_paragraph_is_one_line() -> None:
    assert summary(FULL) == "Pay money back to a customer."


@pytest.mark.parametrize("text", [None, "", "   \n ", "Args:\n    a: x", "Parameters:\n    a: x"])
def test_a_docstring_without_a_paragraph_says_nothing(text: str | None) -> None:
    assert summary(text) == ""


def test_each_parameter_has_its_description_on_one_line() -> None:
    assert parameters(FULL) == {
        "amount": "How much, in euros.",
        "to": "Whom; their login, not their name.",
        "rest": "More of them.",
        "note": "Why.",
    }


@pytest.mark.parametrize("title", ["Args", "Arguments", "Parameters"])
def test_the_section_may_have_each_of_its_names(title: str) -> None:
    assert parameters(f"Do it.\n\n{title}:\n  a: x: y\n") == {"a": "x: y"}


@pytest.mark.parametrize(
    "text",
    [
        None,
        "Do it.",
        "Do it.\n\nArgs: a is x\n",
        "Do it.\n\nArgs:\na: not indented\n",
        "Do it.\n\nReturns:\n    a: x\n",
        "Do it.\n\nArgs:\n    no colon here\n",
    ],
)
def test_what_is_no_list_of_parameters_is_none(text: str | None) -> None:
    assert parameters(text) == {}


def test_a_line_that_looks_like_a_parameter_inside_a_description_is_part_of_it() -> None:
    text = "Do it.\n\nArgs:\n    a: One of\n        b: the second\n    c: x\n"
    assert parameters(text) == {"a": "One of b: the second", "c": "x"}


@settings(deadline=None, database=None, max_examples=examples(200))
@given(st.text(alphabet=" \n:ab*(_)ArgsÄ", max_size=60))
def test_any_docstring_can_be_read(text: str) -> None:
    for name, described in parameters(f"Do it.\n\nArgs:\n{text}").items():
        assert name
        assert "\n" not in described
    assert "\n" not in summary(text)
