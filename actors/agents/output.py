"""Typed final answers: the tool with which a model gives one, and the results that it sees.

A tool, rather than a provider's own "structured output", because every model that can call tools
can use it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ...runtime.errors import InvalidSetup, LaybyError
from ...tools.schema import problems, tidy_object
from ..models.model import Message, ToolCall, ToolResult, ToolSpec

FINAL = "final_answer"
"""The tool's name."""
_WRAPPED = "answer"
"""The parameter for a value that is not a JSON object."""


class BadOutput(LaybyError):
    """A model gave no final answer that fits the agent's `output_type` in the allowed attempts."""

    retryable = False


class Judged(NamedTuple):
    """A final answer that fits, as JSON data, or why it does not fit."""

    value: Any = None
    problem: str = ""


class OutputType:
    """The type of an agent's final answer."""

    def __init__(self, wanted: Any) -> None:
        """Accept a pydantic model or any type that pydantic knows. Raises InvalidSetup."""
        from pydantic import TypeAdapter  # noqa: PLC0415  slow to load, and seldom needed
        from pydantic.errors import PydanticUserError  # noqa: PLC0415

        try:
            self._adapter: Any = TypeAdapter(wanted)
            schema = self._adapter.json_schema()
        except PydanticUserError as error:
            raise InvalidSetup(f"output_type={wanted!r} is not possible: {error}") from None
        self._wraps = schema.get("type") != "object" or "properties" not in schema
        if self._wraps:
            definitions = {"$defs": schema.pop("$defs")} if "$defs" in schema else {}
            inner = {"properties": {_WRAPPED: schema}, "required": [_WRAPPED], **definitions}
            schema = {"type": "object", **inner}
        self.spec = ToolSpec(
            name=FINAL,
            description="Give your final answer, when all other work is done. It ends your turn.",
            parameters=tidy_object(schema),
        )

    def typed(self, value: Any) -> Any:
        """A recorded final answer as the type. Raises ValueError when it no longer fits."""
        if value is None:
            return None
        return self._adapter.validate_python(value, by_alias=True, by_name=True)

    def of_call(self, call: ToolCall) -> Judged:
        """Judge the final answer in a call of the tool."""
        if not self._wraps:
            return self._judge(call.arguments)
        if set(call.arguments) != {_WRAPPED}:
            return Judged(problem=f"give one argument, {_WRAPPED!r}")
        return self._judge(call.arguments[_WRAPPED])

    def of_text(self, text: str) -> Judged:
        """Judge plain text: some models write the JSON instead of calling the tool."""
        from pydantic_core import from_json  # noqa: PLC0415

        try:
            value = from_json(text.strip().removeprefix("```json").strip("`").strip())
        except ValueError:
            return Judged(
                problem=f"Call {FINAL} to give your final answer; text alone does not count."
            )
        judged = self._judge(value)
        return judged._replace(problem=judged.problem and f"{judged.problem}\nCall {FINAL}.")

    def _judge(self, value: Any) -> Judged:
        from pydantic import ValidationError  # noqa: PLC0415
        from pydantic_core import to_json  # noqa: PLC0415

        try:  # as JSON, so that strict types accept the JSON forms of their values
            checked = self._adapter.validate_json(to_json(value))
        except ValidationError as error:
            lines = "\n".join(problems(error))
            return Judged(problem=f"the final answer does not fit:\n{lines}")
        return Judged(self._adapter.dump_python(checked, mode="json"))


def refused(call: ToolCall, problem: str) -> ToolResult:
    """The result of a final answer that does not count."""
    return ToolResult(id=call.id, name=call.name, content=problem, is_error=True)


def accepted(call: ToolCall) -> ToolResult:
    """The result of a final answer that was accepted."""
    return ToolResult(id=call.id, name=call.name, content="taken")


def finals(message: Message) -> list[ToolCall]:
    """The calls of a message that give a final answer."""
    return [call for call in message.tool_calls if call.name == FINAL]
