"""A typed final answer: what a model may give, and what it is told when it does not fit."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from layby.actors.agents.output import FINAL, OutputType, accepted, finals, refused
from layby.actors.models.model import Message, Text, ToolCall
from layby.runtime.errors import InvalidSetup


class Verdict(BaseModel):
    paid: bool
    cents: int = Field(alias="centAmount", default=0)


def call(name: str = FINAL, **arguments: Any) -> ToolCall:
    return ToolCall(id="c1", name=name, arguments=arguments)


def test_a_model_is_shown_the_fields_of_an_object() -> None:
    spec = OutputType(Verdict).spec
    assert spec.name == FINAL
    assert set(spec.parameters["properties"]) == {"paid", "centAmount"}
    assert spec.parameters["required"] == ["paid"]


def test_any_other_value_is_one_argument() -> None:
    for wanted in (int, list[str], Literal["a", "b"], dict[str, int], Verdict | int):
        parameters = OutputType(wanted).spec.parameters
        assert list(parameters["properties"]) == ["answer"]
        assert parameters["required"] == ["answer"]


def test_definitions_stay_where_references_find_them() -> None:
    parameters = OutputType(list[Verdict]).spec.parameters
    assert parameters["properties"]["answer"]["items"] == {"$ref": "#/$defs/Verdict"}
    assert "Verdict" in parameters["$defs"]
    assert "$defs" not in parameters["properties"]["answer"]


def test_a_final_answer_that_fits_is_kept_as_json_and_read_back_as_the_type() -> None:
    output = OutputType(Verdict)
    judged = output.of_call(call(paid=True, centAmount="7"))
    assert (judged.value, judged.problem) == ({"paid": True, "cents": 7}, "")
    assert output.typed(judged.value) == Verdict(paid=True, centAmount=7)
    assert output.typed(None) is None
    assert OutputType(int).of_call(call(answer=7)) == (7, "")


@pytest.mark.parametrize(
    ("wanted", "arguments", "problem"),
    [
        (Verdict, {}, "paid: required, but missing"),
        (Verdict, {"paid": "perhaps"}, "paid: "),
        (int, {}, "give one argument, 'answer'"),
        (int, {"answer": 1, "more": 2}, "give one argument, 'answer'"),
        (int, {"answer": "x"}, "the final answer does not fit"),
        (Literal["a"], {"answer": "b"}, "'a'"),
    ],
)
def test_what_does_not_fit_is_told_to_the_model(
    wanted: Any, arguments: dict[str, Any], problem: str
) -> None:
    judged = OutputType(wanted).of_call(call(**arguments))
    assert judged.value is None
    assert problem in judged.problem


@pytest.mark.parametrize(
    "text",
    ['{"paid": true}', ' {"paid": true}\n', '```json\n{"paid": true}\n```', '`{"paid": true}`'],
)
def test_json_instead_of_a_call_counts(text: str) -> None:
    assert OutputType(Verdict).of_text(text) == ({"paid": True, "cents": 0}, "")


def test_words_do_not_count_and_the_model_is_told_to_call() -> None:
    output = OutputType(Verdict)
    words = output.of_text("It is paid.")
    assert words.problem == f"Call {FINAL} to give your final answer; text alone does not count."
    misfit = output.of_text('{"paid": 7}')
    assert misfit.problem.startswith("the final answer does not fit:")
    assert misfit.problem.endswith(f"\nCall {FINAL}.")


def test_a_type_without_json_is_refused_at_once() -> None:
    class Plain: ...

    with pytest.raises(InvalidSetup, match=r"output_type=.*Plain.* is not possible"):
        OutputType(Plain)


def test_final_answers_are_told_from_other_calls() -> None:
    last, other = call(paid=True), call("look")
    message = Message(role="assistant", parts=[Text(text="x"), other, last])
    assert finals(message) == [last]
    assert (accepted(last).content, accepted(last).is_error) == ("taken", False)
    told = refused(last, "no")
    assert (told.id, told.name, told.content, told.is_error) == ("c1", FINAL, "no", True)
