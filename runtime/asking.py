"""Questions to people."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict, cast, overload

import msgspec
from typing_extensions import TypeVar, Unpack

from ..bus.errors import BusError
from . import clock
from .deciders import (
    Deciders,
    accepted,
    check_countable,
    check_reachable,
    check_vouchers,
    completed,
    reserved_for,
)
from .duration import seconds
from .entry import Addressed, Asked, Failure, Proposed, Stepped
from .errors import AnswerDoubted, Interrupted, InvalidSetup, QuestionLimit
from .explaining import Explain
from .failure import blame
from .forms import schema_of
from .given_answer import Answer, V, answer_of, terms_of, undecided
from .ids import question_id
from .ladders import NO_OPTIONS, LadderOptions
from .quorum import Quorum, roles_of
from .replying import Replying
from .rung import Escalate, Remind
from .state import Question
from .vote import votes_on
from .vouched import NATS, NONE, SIGNATURE
from .vouching import Accept

RAISE: Any = object()
"""As the `default` of a question: there is none, so AskTimedOut is raised."""


_LARGEST = 384 * 1024
"""Bytes of the largest question and context, as JSON: two on a ticket must fit into one record."""


def _check_size(asked: Asked) -> None:
    size = len(msgspec.json.encode((asked.question, asked.context, asked.call)))
    largest = _LARGEST * 3 // 4 if asked.confidential else _LARGEST  # encrypted, it is base64
    if size > largest:
        raise InvalidSetup(
            f"the question and its context have {size} bytes, more than {largest}: "
            "put the bulk where people can look it up"
        )


D = TypeVar("D", default=Any)
"""The type of a question's `default`."""


class AskOptions(TypedDict, total=False):
    """Options of a question besides its text, the type of the answer and its default."""

    context: str
    timeout: str | float | timedelta | None
    agent: str
    accept: Accept
    confidential: bool
    to: str | None
    remind: Remind | None
    escalate: Escalate | None
    urgent: bool
    quorum: int | None
    groups: Mapping[str, int] | None
    veto: bool
    exclude: Sequence[str]
    only: bool
    explain: Explain | None
    clock_stops: bool | None
    name: str


class Asking(Replying):
    """The verb for asking a person."""

    @overload
    def ask(
        self, role: str, question: str, **options: Unpack[AskOptions]
    ) -> Coroutine[Any, Any, Answer[str]]: ...

    @overload
    def ask(
        self, role: str, question: str, *, answer: type[V], **options: Unpack[AskOptions]
    ) -> Coroutine[Any, Any, Answer[V]]: ...

    @overload
    def ask(
        self, role: str, question: str, *, default: D, **options: Unpack[AskOptions]
    ) -> Coroutine[Any, Any, Answer[str | D]]: ...

    @overload
    def ask(
        self,
        role: str,
        question: str,
        *,
        answer: type[V],
        default: D,
        **options: Unpack[AskOptions],
    ) -> Coroutine[Any, Any, Answer[V | D]]: ...

    @overload
    def ask(
        self,
        role: str,
        question: str,
        *,
        answer: Any,
        default: Any = ...,
        **options: Unpack[AskOptions],
    ) -> Coroutine[Any, Any, Answer]: ...

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
        confidential: bool = False,
        to: str | None = None,
        remind: Remind | None = None,
        escalate: Escalate | None = None,
        urgent: bool = False,
        quorum: int | None = None,
        groups: Mapping[str, int] | None = None,
        veto: bool = False,
        exclude: Sequence[str] = (),
        only: bool = False,
        explain: Explain | None = None,
        clock_stops: bool | None = None,
        name: str = "ask",
    ) -> Coroutine[Any, Any, Answer]:
        """Ask a person and wait for the answer, without occupying a worker.

        Args:
            role: Who is asked.
            question: The question, complete in itself.
            context: What they need to know.
            timeout: How long they have; the app's `ask_timeout` unless given.
            answer: The type of the answer's `value`: `bool`, a `Literal`, a pydantic model. An
                answer that does not fit is refused with the reason, and the question stays open.
            default: The `value` when nobody answers, or when several people do not agree; without
                it, that raises AskTimedOut or NoQuorum.
            agent: Who asks, for the person to see.
            accept: Which answers count, by who vouches for their authors: `nats`, `signature`,
                `slack`, `link`, `token`, `proxy`, `none`, or several of these; see
                docs/people.md. Others are refused, and the question stays open. Default: all; if
                several people decide, `nats`; for a role with keys, `signature`, and it takes no
                others.
            confidential: Whether the question, its context, `agent` and the texts of the form are
                encrypted wherever they are stored for people: docs/encryption.md. Needs
                `App(encryption=...)`.
            to: The person for whom the question is meant, `person:ada`. Others with the role see
                it too, and may answer it.
            remind: After how long it is published again, `["1h", "3h"]`; default: as the role
                declares.
            escalate: Who else is asked, and when, `[Rung("2h", to="role:lead")]`; default: as the
                role declares.
            urgent: Whether to ignore quiet hours.
            quorum: How many people must choose the same: docs/people.md. Each has one vote, under
                the name in the subject of their answer. Needs an `answer` with choices: `bool`, a
                `Literal` or an `Enum`.
            groups: How many of them must be of each role: `{"legal": 1, "finance": 1}`. All of
                these roles are asked; `role` must be one of them.
            veto: Whether the first `no` decides.
            exclude: Names of people who may not vote, such as the person who started the run.
            only: Whether nobody but the person in `to` may answer, under a name that somebody
                vouches for. Needs `to`.
            explain: Who replies when somebody asks back instead of answering: a function that gets
                an `AskBack` and returns the reply, or `role:support`, whose people are asked.
                Default: the agent whose tool asks; in a workflow, the role `developer`.
            clock_stops: Whether the deadline is put off while something asked back has no reply;
                default: as the role declares.
            name: The step's name.

        Raises:
            AskTimedOut: nobody answered before the deadline, and there is no `default`.
            QuestionLimit: the run has asked as many questions as the app allows.
            NoQuorum: several people were asked and can no longer agree; there is no `default`.
            InvalidSetup: it is `confidential`, and the run is not encrypted; a rung is not before
                the deadline, or names a role that the app does not have; or the people asked can
                never be as many as `quorum` and `groups` say.
        """
        decided = Deciders(quorum, groups, veto, exclude).checked()
        person = reserved_for(to, decided) if only else ""
        asked = self._asked(
            role, question, timeout, agent, name, accept=accept, quorum=decided, only=person
        )
        form = None if answer is str else schema_of(answer)
        asked = msgspec.structs.replace(
            asked, context=context, form=form, confidential=confidential
        )
        if clock_stops is not None:
            asked = msgspec.structs.replace(asked, stops=clock_stops)
        ladder = LadderOptions(to, remind, escalate, urgent)
        return self._ask(asked, answer, default, ladder, explain)

    def _asked(
        self,
        role: str,
        question: str,
        timeout: str | float | timedelta | None,
        agent: str,
        name: str,
        *,
        accept: Accept,
        quorum: Quorum | None = None,
        only: str = "",
    ) -> Asked:
        """The next question under `name`, without its context and form."""
        self._recorder.needs_server(f"a {role} cannot be asked {question!r}")
        key = self._key(name)
        self._recorder.reached(f"{key}!")
        wait = self._ports.ask_timeout if timeout is None else seconds(timeout)
        if quorum is not None:
            quorum = completed(quorum, role, self._ports)
        kind = Proposed if quorum is not None else Addressed if only else Asked
        return kind(
            frame=self._frame,
            key=key,
            id=self._question_id(key),
            role=role,
            question=question,
            agent=agent,
            deadline=round(clock.now() + wait, 3),
            accept=self._accepted(role, accept, only=only)
            if quorum is None
            else accepted(accept, role, quorum),
            quorum=quorum,
            only=only,
            stops=role in self._ports.stopping,
        )

    def _accepted(self, role: str, accept: Accept, *, only: str) -> list[str]:
        """Who must vouch for an answer; empty: nobody. Raises InvalidSetup."""
        wanted = [accept] if isinstance(accept, str) else list(accept or ())
        if role in self._ports.signers:
            if wanted and wanted != [SIGNATURE]:
                raise InvalidSetup(
                    f"the role {role!r} has keys, so it takes signed answers only, but this is "
                    f"accept={accept!r}: leave `accept` out, or ask a role without keys"
                )
            return [SIGNATURE]
        check_vouchers(accept)
        if wanted == [SIGNATURE]:
            raise InvalidSetup(
                f"accept={accept!r}, but the role {role!r} has no keys: declare them with "
                f"App(roles=[Role({role!r}, keys={{...}})])"
            )
        if only and NONE in wanted:
            raise InvalidSetup(
                f"accept={accept!r}, but only {only} may answer, and an unnamed answer does not "
                "say who gave it: leave 'none' out"
            )
        return sorted({*wanted} - {SIGNATURE}) or ([NATS] if only else [])

    async def _ask(
        self,
        asked: Asked,
        wanted: Any,
        default: Any,
        options: LadderOptions = NO_OPTIONS,
        explain: Explain | None = None,
    ) -> Answer:
        for role in roles_of(asked):
            self._check_role(role)
        check_countable(asked)
        refused = self._slot(f"{asked.key}!", "step")
        if refused is not None:
            return cast("Answer", await self._replay(f"{asked.key}!", refused, Any))
        self._check_distrusted(asked.key)
        self._check_explain(explain)
        await self._reply(asked.key, explain)
        slot = self._open(asked.key, "ask")
        if slot is None:
            await self._recorder.check_may_proceed()
            _check_size(asked)
            check_reachable(asked)
            if asked.confidential:
                await self._check_encrypted()
            self._check_limit(asked.key)
            ladder = self._ports.ladders.plan(asked, clock.now(), options)
            if ladder is not None:
                self._record(ladder)  # in the same message as the question
            to = self._ports.role_address(asked.role)
            slot = await self._recorder.wait(asked, to=to)
        await self._withdraw_requests(asked.key)
        question = self._recorder.state.questions[slot.ref]
        if question.status == "answered":
            self._check_same_question(asked, question)
            return answer_of(question, wanted)
        if default is not RAISE:
            at = datetime.fromtimestamp(question.deadline, UTC)
            votes = votes_on(question)
            return Answer(
                text="", value=default, by="", at=at, question_id=question.id, votes=votes
            )
        raise undecided(asked, question)

    def _check_distrusted(self, key: str) -> None:
        """Block at an open question whose signed answer no longer counts. Raises AnswerDoubted.

        The run may have continued with that answer, and would wait here for ever.
        """
        slot = self._found(key)
        question = self._recorder.state.questions.get(slot.ref) if slot is not None else None
        if question is not None and question.doubt and slot is not None and not slot.settled:
            raise AnswerDoubted(
                f"the log has a signed answer to question {question.id} that does not count: "
                f"{question.doubt}. If the key was theirs, keep it in `keys`, and put it into "
                "`retired` with the time from which it does not count; if not, the entry is forged"
            )

    def _check_same_question(self, asked: Asked, question: Question) -> None:
        """Check that a signed answer is for what this code asks, not only for what the log says.

        A worker could log a question that the code does not ask, or for another role.

        Raises:
            AnswerDoubted: it is for something else, or the code now asks something else.
        """
        if not any(role in self._ports.signers for role in roles_of(asked)):
            return
        same = (
            (question.id, question.role, question.question, question.call)
            == (asked.id, asked.role, asked.question, asked.call)
            and (question.context == asked.context or asked.call is not None)
            and question.accept == asked.accept
            and terms_of(question.quorum) == terms_of(asked.quorum)
            and question.only == asked.only
        )
        if not same:
            raise AnswerDoubted(
                f"question {question.id} to {question.role!r} in the log is not what {asked.key!r} "
                f"asks the role {asked.role!r}, whose answers must be signed for exactly that"
            )

    def _question_id(self, key: str) -> str:
        """A new id when the question is asked again, because its ticket remembers the first."""
        frame = self._recorder.state.frames.get(self._frame)
        again = frame.again.get(key, 0) if frame is not None else 0
        return question_id(self.run_id, self._frame, f"{key}~{again}" if again else key)

    def _check_role(self, role: str) -> None:
        roles = self._ports.roles
        if role not in roles:
            raise InvalidSetup(
                f"the app has no role {role!r}: declare it with App(roles=[...]); "
                f"declared: {', '.join(roles)}"
            )

    async def _check_encrypted(self) -> None:
        """Check that a confidential question will be encrypted. Raises InvalidSetup."""
        encrypted = self._ports.encrypted
        if encrypted is None:
            raise InvalidSetup(
                "confidential=True, but the app is not encrypted: give it "
                "App(encryption=Keyring.from_env()), or ask without confidential="
            )
        try:
            sealed = await encrypted(self.run_id)
        except BusError as error:
            raise Interrupted(str(error)) from error
        if not sealed:
            raise InvalidSetup(
                f"confidential=True, but run {self.run_id} began before its app was encrypted, so "
                "it stays plain: cancel it and send its event again, or ask without confidential="
            )

    def _check_limit(self, key: str) -> None:
        """Refuse a question beyond the limit; recorded, so that every later pass refuses it too."""
        state = self._recorder.state
        asked = sum(not each.about for each in state.questions.values()) - state.asked_again
        if asked < self._ports.max_questions:
            return
        message = (
            f"this run has asked {asked} questions, as many as it may: continue without an answer"
        )
        failure = Failure(type="QuestionLimit", message=message)
        self._record(Stepped(frame=self._frame, key=f"{key}!", error=failure))
        limit = QuestionLimit(message)
        blame(limit, f"{key}!")
        raise limit
