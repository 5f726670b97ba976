"""Questions to people."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec

from . import clock
from .body import Body
from .duration import seconds
from .entry import Asked, Failure, Stepped
from .errors import AnswerDoubted, AskTimedOut, InvalidSetup, QuestionLimit
from .failure import blame
from .forms import answer_value, schema_of
from .ids import question_id
from .state import Question
from .vouching import NATS, NONE, SIGNATURE, Accept

_VOUCHED = frozenset({NATS, SIGNATURE, NONE})
RAISE: Any = object()
"""As the `default` of a question: there is none, so raise when nobody answers."""


_LARGEST = 384 * 1024
"""Bytes, as JSON, of the largest question with its context: two on a ticket share a record."""


def _check_size(asked: Asked) -> None:
    size = len(msgspec.json.encode((asked.question, asked.context, asked.call)))
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
    vouched: str = ""
    """Who vouches for `by`: `nats` (it is a word of the answer's subject, to which the server can
    hold its user), `signature`, or `none`; empty where nobody answered, and in older logs."""


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
        accept: Accept = None,
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
            accept: Which answers count, by who vouches for whoever gave them: `nats`, `signature`,
                `none`, or several of these. Others are refused, and the question stays open.
                Default: all; of a role with keys, `signature`, and it takes no others.
            name: The step's name.

        Raises:
            AskTimedOut: nobody answered before the deadline, and there is no `default`.
            QuestionLimit: the run has asked as many questions as the app allows.
        """
        asked = self._asked(role, question, timeout, agent, name, accept=accept)
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
        *,
        accept: Accept,
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
            deadline=round(clock.now() + wait, 3),
            accept=self._accepted(role, accept),
        )

    def _accepted(self, role: str, accept: Accept) -> list[str]:
        """Who must vouch for an answer; empty: nobody. Raises InvalidSetup."""
        wanted = [accept] if isinstance(accept, str) else list(accept or ())
        if role in self._services.signers:
            if wanted and wanted != [SIGNATURE]:
                raise InvalidSetup(
                    f"the role {role!r} has keys, so it takes signed answers only, and not "
                    f"accept={accept!r}: ask a role without keys for others"
                )
            return [SIGNATURE]
        if any(each not in _VOUCHED for each in wanted):
            raise InvalidSetup(
                f"accept={accept!r}: give 'nats', 'signature' or 'none', or several of these"
            )
        if wanted == [SIGNATURE]:
            raise InvalidSetup(
                f"accept={accept!r}, and the role {role!r} has no keys: declare them with "
                f"App(roles=[Role({role!r}, keys={{...}})])"
            )
        return sorted({*wanted} - {SIGNATURE})

    async def _ask(self, asked: Asked, wanted: Any, default: Any) -> Answer:
        self._check_role(asked.role)
        refused = self._slot(f"{asked.key}!", "step")
        if refused is not None:
            return cast("Answer", await self._replay(f"{asked.key}!", refused, Any))
        self._check_doubt(asked.key)
        slot = self._open(asked.key, "ask")
        if slot is None:
            await self._recorder.may_go_on()
            _check_size(asked)
            self._check_limit(asked.key)
            to = self._services.role_address(asked.role)
            slot = await self._recorder.wait(asked, to=to)
        question = self._recorder.state.questions[slot.ref]
        if question.status == "answered":
            self._check_matter(asked, question)
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

    def _check_doubt(self, key: str) -> None:
        """Have people look at an open question whose signed answer counts no more.

        Its run may have gone on by that answer, and would wait here for ever.
        """
        slot = self._found(key)
        question = self._recorder.state.questions.get(slot.ref) if slot is not None else None
        if question is not None and question.doubt and slot is not None and not slot.settled:
            raise AnswerDoubted(
                f"the log has a signed answer to question {question.id} that does not count: "
                f"{question.doubt}. If the key was theirs, keep it in `keys`, and in `retired` "
                "with the time from when on it counts no more; if not, the entry is forged"
            )

    def _check_matter(self, asked: Asked, question: Question) -> None:
        """Hold a signed answer against what this very code asks, and not only what the log says.

        A worker may write another question into the log than the code asks, or ask another role.

        Raises:
            AnswerDoubted: it is for something else, or the code asks something else by now.
        """
        if asked.role not in self._services.signers:
            return
        same = (
            (question.id, question.role, question.question, question.call)
            == (asked.id, asked.role, asked.question, asked.call)
            and (question.context == asked.context or asked.call is not None)
            and question.accept == asked.accept
        )
        if not same:
            raise AnswerDoubted(
                f"question {question.id} to {question.role!r} in the log is not what {asked.key!r} "
                f"asks the role {asked.role!r}, whose answers must be signed for exactly that"
            )

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
    return Answer(
        text=question.text,
        value=value,
        by=question.by,
        at=at,
        question_id=question.id,
        vouched=question.vouched,
    )
