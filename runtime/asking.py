"""Questions to people."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec

from .body import Body
from .duration import seconds
from .entry import Asked, Failure, Stepped
from .errors import AskTimedOut, InvalidSetup, QuestionLimit
from .failure import blame
from .forms import answer_value, schema_of
from .ids import question_id
from .state import Question

RAISE: Any = object()
"""As the `default` of a question: there is none, so raise when nobody answers."""


_LARGEST = 384 * 1024
"""Bytes, as JSON, of the largest question with its context: two on a ticket share a record."""


def _check_size(asked: Asked) -> None:
    size = len(msgspec.json.encode((asked.question, asked.context)))
    if size > _LARGEST:
        raise InvalidSetup(
            f"a question of {size} bytes, its context included, is more than {_LARGEST}: "
            "put the bulk where people can look it up"
        )


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a person answered."""

    text: str
    value: Any
    """The answer as the type that was asked for; the text itself unless one was."""
    by: str
    """Who, as far as is known; empty when the answer did not say."""
    at: datetime
    question_id: str


class Asking(Body):
    """The verb for asking a person."""

    def ask(
        self,
        role: str,
        question: str,
        *,
        context: str = "",
        timeout: str | float | timedelta | None = None,
        answer: Any = str,
        default: Any = RAISE,
        agent: str = "",
        name: str = "ask",
    ) -> Coroutine[Any, Any, Answer]:
        """Ask a person and wait, without holding a worker, until they answer.

        Args:
            role: Who is asked.
            question: The question, complete in itself.
            context: What they need to know.
            timeout: How long they have; the app's `ask_timeout` unless given.
            answer: The type of the answer's `value`: `bool`, a `Literal`, a pydantic model. An
                answer that does not fit is refused with the reason, and the question stays open.
            default: The `value` when nobody answers; without it, that raises AskTimedOut.
            agent: Who asks, for the person to see.
            name: The step's name.

        Raises:
            AskTimedOut: nobody answered before the deadline, and there is no `default`.
            QuestionLimit: the run has asked as many questions as the app allows.
        """
        asked = self._asked(role, question, timeout, agent, name)
        form = None if answer is str else schema_of(answer)
        asked = msgspec.structs.replace(asked, context=context, form=form)
        return self._ask(asked, answer, default)

    def _asked(
        self,
        role: str,
        question: str,
        timeout: str | float | timedelta | None,
        agent: str,
        name: str,
    ) -> Asked:
        """The next question under `name`, without its context and form."""
        self._recorder.needs_server(f"a {role} cannot be asked {question!r}")
        key = self._key(name)
        self._recorder.reached(f"{key}!")
        wait = self._services.ask_timeout if timeout is None else seconds(timeout)
        return Asked(
            frame=self._frame,
            key=key,
            id=self._question_id(key),
            role=role,
            question=question,
            agent=agent,
            deadline=round(time.time() + wait, 3),
        )

    async def _ask(self, asked: Asked, wanted: Any, default: Any) -> Answer:
        self._check_role(asked.role)
        refused = self._slot(f"{asked.key}!", "step")
        if refused is not None:
            return cast("Answer", await self._replay(f"{asked.key}!", refused, Any))
        slot = self._open(asked.key, "ask")
        if slot is None:
            await self._recorder.may_go_on()
            _check_size(asked)
            self._check_limit(asked.key)
            to = self._services.role_address(asked.role)
            slot = await self._recorder.wait(asked, to=to)
        question = self._recorder.state.questions[slot.ref]
        if question.status == "answered":
            return _answer(question, wanted)
        if default is not RAISE:
            at = datetime.fromtimestamp(question.deadline, UTC)
            return Answer(text="", value=default, by="", at=at, question_id=question.id)
        deadline = datetime.fromtimestamp(question.deadline, UTC).isoformat(timespec="seconds")
        expired = AskTimedOut(
            f"nobody with the role {question.role!r} answered by {deadline}: {question.question!r}",
            question.id,
        )
        blame(expired, asked.key)
        raise expired

    def _question_id(self, key: str) -> str:
        """Another one where the question is asked again: its ticket remembers the first."""
        frame = self._recorder.state.frames.get(self._frame)
        again = frame.again.get(key, 0) if frame is not None else 0
        return question_id(self.run_id, self._frame, f"{key}~{again}" if again else key)

    def _check_role(self, role: str) -> None:
        roles = self._services.roles
        if role not in roles:
            raise InvalidSetup(
                f"nobody has the role {role!r}: declare it with App(roles=[...]); "
                f"declared: {', '.join(roles)}"
            )

    def _check_limit(self, key: str) -> None:
        """Refuse a question too many; recorded, so that every later pass is refused here too."""
        state = self._recorder.state
        asked = len(state.questions) - state.asked_again
        if asked < self._services.max_questions:
            return
        message = (
            f"this run has asked {asked} questions, as many as it may: go on without an answer"
        )
        failure = Failure(type="QuestionLimit", message=message)
        self._record(Stepped(frame=self._frame, key=f"{key}!", error=failure))
        limit = QuestionLimit(message)
        blame(limit, f"{key}!")
        raise limit


def _answer(question: Question, wanted: Any) -> Answer:
    value = question.text if wanted is str else answer_value(question.text, wanted)
    at = datetime.fromtimestamp(question.at, UTC)
    return Answer(text=question.text, value=value, by=question.by, at=at, question_id=question.id)
