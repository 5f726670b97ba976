"""A body at an open question about which people ask back: it replies, and keeps waiting.

What somebody asks back is mail to the actor that asked. Its handler enters the body, which reaches
the question, replies, and is left again: nothing about the conversation changes. Replies are given
one at a time: the handler that gave one continues with what was asked back meanwhile (see `state`),
so only one handler calls a model. A reply is recorded once, even if a worker dies in between.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import clock, crash, explaining
from .ask_back_records import Replied
from .ask_backs import AskBack, request_key
from .body import Body
from .entry import Asked, Withdrawn
from .errors import InvalidSetup
from .explaining import Explain, Explained, Explainer
from .ids import question_id
from .state import ANSWERED, OPEN, Question
from .strand import strand
from .vouched import SIGNATURE

DEFAULT_ROLE = "developer"
"""Who is asked for a reply by default: those who wrote the code that asks."""


class Replying(Body):
    """What a body does about a question of its own, besides waiting for the answer."""

    async def _reply(self, key: str, explain: Explain | None) -> None:
        """Reply to everything that was asked back about the open question at `key`.

        Raises:
            Parked: the handler of another mail is the one to reply.
        """
        slot = self._found(key)
        question = self._recorder.state.questions.get(slot.ref) if slot is not None else None
        if question is None:
            return
        place = 0
        while place < len(asked := self._asked_back(question)):
            strand.get().consume(asked[place].n, asked[place].n)
            if asked[place].reply is None and question.status == OPEN:
                await self._reply_to(question, asked, place, explain)
            reply = self._asked_back(question)[place].reply
            if reply is None:
                return  # a person has not replied yet; nothing after it counts until then
            strand.get().consume(reply.n, reply.owner)
            place += 1

    def _asked_back(self, question: Question) -> Sequence[AskBack]:
        return self._recorder.state.asked_back.get(question.id, ())

    async def _reply_to(
        self, question: Question, asked: Sequence[AskBack], place: int, explain: Explain | None
    ) -> None:
        by = explaining.of_code(explain) if callable(explain) else None
        by = by or (explaining.explainer() if explain is None else None)
        if by is None:
            await self._reply_by_person(question, asked[place], explaining.role_in(explain))
            return
        await self._recorder.check_may_proceed()
        await self._recorder.flush()
        crash.point("before_reply")
        explained = await self._explained(by, question, asked, place)
        crash.point("after_reply")
        await self._record_reply(question, asked[place], explained)

    async def _explained(
        self, by: Explainer, question: Question, asked: Sequence[AskBack], place: int
    ) -> Explained:
        this, before = asked[place], asked[:place]
        about = explaining.AskBack(
            text=this.text,
            by=this.by,
            question_id=question.id,
            question=question.question,
            earlier=tuple((e.text, e.reply.text) for e in before if e.reply is not None),
        )
        key = request_key(question.key, this.seq)
        return await explaining.reply(by, about, key, self._ports.retry)

    async def _record_reply(self, question: Question, asked: AskBack, explained: Explained) -> None:
        replied = Replied(
            id=question.id,
            seq=asked.seq,
            kind=explained.kind,
            by=explained.by,
            text=explained.text,
            failed=explained.failed,
            spent=explained.spent,
        )
        await self._recorder.flush(to=self._ports.role_address(asked.role), mail=replied)
        crash.point("after_replied")

    # -- people --------------------------------------------------------------------------------

    async def _reply_by_person(self, question: Question, asked: AskBack, role: str) -> None:
        """Ask a person for the reply, which is a question like any other, or record theirs."""
        key = request_key(question.key, asked.seq)
        slot = self._found(key)
        strand.get().touched.append(key)
        if slot is None:
            await self._recorder.check_may_proceed()
            request = self._request(question, asked, role or self._default_role(), key)
            to = self._ports.role_address(request.role)
            await self._recorder.flush(to=to, mail=request)
            crash.point("after_reply_asked")
        elif slot.settled and not slot.dropped:
            strand.get().consume(slot.settled, slot.owner)
            await self._recorder.check_may_proceed()
            ended = self._recorder.state.questions[slot.ref]
            await self._record_reply(question, asked, _of_person(ended))

    def _request(self, question: Question, asked: AskBack, role: str, key: str) -> Asked:
        """The question for a reply. It ends with the question that it is about."""
        return Asked(
            frame=self._frame,
            key=key,
            id=question_id(self.run_id, self._frame, f"{question.id}/{asked.seq}"),
            role=role,
            question=f"{asked.by} asks back: {asked.text}",
            context=f"{asked.by} was asked, and wants to know this first:\n{question.question}",
            agent=question.agent,
            deadline=max(question.deadline, round(clock.now() + 1, 3)),
            accept=[SIGNATURE] if role in self._ports.signers else [],
            confidential=question.confidential,
            about=question.id,
        )

    def _default_role(self) -> str:
        roles = self._ports.roles
        return DEFAULT_ROLE if DEFAULT_ROLE in roles else roles[0]

    def _check_explain(self, explain: Explain | None) -> None:
        """Check who replies, before anybody asks. Raises InvalidSetup."""
        role = explaining.role_in(explain)
        if role and role not in self._ports.roles:
            raise InvalidSetup(
                f"explain={explain!r}: the app has no role {role!r}: declare it with "
                f"App(roles=[...]); declared: {', '.join(self._ports.roles)}"
            )

    async def _withdraw_requests(self, key: str) -> None:
        """Ask nobody any longer for replies about the question at `key`, which has ended."""
        slot = self._found(key)
        question = self._recorder.state.questions.get(slot.ref) if slot is not None else None
        for asked in self._asked_back(question) if question is not None else ():
            request = request_key(key, asked.seq)
            found = self._found(request)
            if found is None or found.settled:
                continue
            await self._recorder.check_may_proceed()
            to = self._ports.role_address(self._recorder.state.questions[found.ref].role)
            withdrawn = Withdrawn(frame=self._frame, key=request)
            await self._recorder.flush(to=to, mail=withdrawn)
            crash.point("after_request_withdrawn")


def _of_person(request: Question) -> Explained:
    if request.status == ANSWERED:
        return Explained(request.text or "-", "person", request.by)
    why = explaining.nobody_replied(request.deadline - request.asked_at)
    return Explained(why, "person", failed=True)
