"""The final answer of a turn, where its agent has an `output_type`."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ..models.model import ToolCall, ToolResult
from .definition import AgentDefinition
from .output import BadOutput, Judged, accepted, refused

_ALONE: Final = "Call it alone, once you have seen the results of the other tools."


class FinalAnswer:
    """Takes what a model gives as its final answer, until one fits."""

    def __init__(self, agent: AgentDefinition) -> None:
        self.value: Any = None
        """The answer as JSON data, which may be None."""
        self.is_given = False
        """Whether one was accepted."""
        self._agent = agent
        self._bad = 0
        """How many did not fit."""

    @property
    def as_text(self) -> str:
        """The answer as JSON; empty: there is none."""
        return "" if self.value is None else msgspec.json.encode(self.value).decode()

    def take_text(self, text: str) -> str:
        """Accept a text if it fits; what the model is told if it does not. Raises BadOutput."""
        return "" if self._agent.output is None else self._take(self._agent.output.of_text(text))

    def take_call(self, call: ToolCall, *, alone: bool) -> ToolResult:
        """Accept a call if it fits; the result that the model sees. Raises BadOutput.

        `alone`: whether it is the only call of its response.
        """
        if not alone or self._agent.output is None:
            return refused(call, _ALONE)
        problem = self._take(self._agent.output.of_call(call))
        return refused(call, problem) if problem else accepted(call)

    def _take(self, judged: Judged) -> str:
        if not judged.problem:
            self.value, self.is_given = judged.value, True
            return ""
        self._bad += 1
        if self._bad >= self._agent.output_tries:
            raise BadOutput(
                f"agent {self._agent.name!r} gave no final answer that fits its output_type "
                f"in {self._bad} attempts; the last problem: {judged.problem}"
            )
        return judged.problem
