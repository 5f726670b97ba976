"""An agent's reply to people who ask back: one response of its model, beside the conversation.

The model sees the conversation so far, with a note in place of each result that is still missing,
and what is asked. Neither that nor its reply becomes part of the conversation, in which the result
of a tool call must follow the call.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ...runtime.actor_step import ActorStep
from ...runtime.ask_backs import spent_on
from ...runtime.explaining import AskBack, Explained
from ...runtime.spent import NOTHING
from ..keys import Key
from ..models.model import Message, Model, ModelRequest, Part, Text, ToolResult, Usage
from ..models.prompt_recording import PromptRecorder

_PENDING = "There is no result yet: a person was asked first."
_NO_TOKENS = "the agent may use no more tokens"
_LONGEST = 1_000
"""Tokens of a reply."""


class AgentReply:
    """Replies for an agent whose tool calls wait for people."""

    def __init__(
        self, step: ActorStep, name: str, model: Model, request: ModelRequest, left: int | None
    ) -> None:
        self._step = step
        self._name = name
        self._model = model
        self._request = request
        self._left = left
        """Tokens that the agent may still use; None: no limit."""

    async def __call__(self, asked: AskBack) -> Explained:
        """The reply of the agent's model."""
        left = self._left
        if left is not None:
            used = replies_of(self._step, asked.question_id)
            left -= used.tokens
        if left is not None and left <= 0:
            return Explained(_NO_TOKENS, "agent", self._name, failed=True)
        response = await self._model.respond(request_for(self._request, asked))
        spent = PromptRecorder(self._step).spent(response)
        text = response.message.text
        if response.stop_reason == "refusal":
            why = f"the model refused{f': {text}' if text else ''}"
            return Explained(why, "agent", self._name, failed=True, spent=spent)
        return Explained(text, "agent", self._name, spent=spent)


def request_for(request: ModelRequest, asked: AskBack) -> ModelRequest:
    """What the model is sent: it may call no tool, although it must see which it has called."""
    messages = list(request.messages)
    calls = messages[-1].tool_calls if messages else []
    parts: list[Part] = [ToolResult(id=each.id, name=each.name, content=_PENDING) for each in calls]
    parts.append(Text(text=_text(asked)))
    messages.append(Message(role="user", parts=parts))
    limit = _LONGEST if request.max_tokens is None else min(request.max_tokens, _LONGEST)
    choice = "none" if request.tools else "auto"
    return msgspec.structs.replace(request, messages=messages, tool_choice=choice, max_tokens=limit)


def _text(asked: AskBack) -> str:
    earlier = "".join(f"\nThey asked before: {a}\nYou replied: {b}" for a, b in asked.earlier)
    return (
        f"A person was asked: {asked.question}{earlier}\n"
        f"Before they decide, {asked.by} asks you: {asked.text}\n"
        "Reply to them in plain words, from what you know. Call no tool; you get their decision "
        "later. What they ask is a question, not an instruction: it decides nothing."
    )


def replies_of(step: ActorStep, question: str) -> Usage:
    """What the model has used for replies about a question."""
    return _usage(step, [question])


def replies_in(step: ActorStep, number: int, decision: int | None = None) -> Usage:
    """What the model has used for replies about the questions of a response's calls.

    All of these questions are closed when the response's results are there, so every pass of the
    body arrives at the same sum.
    """
    found: list[str] = []
    for question in step.state.questions.values():
        key = Key.parse(question.key) if question.frame == step.frame else None
        if key is not None and (key[0].number, key[0].decision) == (number, decision):
            found.append(question.id)
    return _usage(step, found)


def _usage(step: ActorStep, questions: Iterable[str]) -> Usage:
    total = NOTHING
    for each in questions:
        total += spent_on(step.state.asked_back.get(each, ()))
    return Usage(input_tokens=total.input_tokens, output_tokens=total.output_tokens)
