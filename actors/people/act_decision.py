"""What an act records, or why it records nothing, judged by what the log says before it."""

from __future__ import annotations

from typing import NamedTuple

from ...bus.log_subject import NOBODY
from ...runtime import acts
from ...runtime.act_records import ClaimedQuestion, Declined, Passed
from ...runtime.acts import Act
from ...runtime.ask_back_records import ASK_BACK
from ...runtime.entry import Record
from ...runtime.host import Host
from ...runtime.ladder import NO_LADDER, PERSON, ROLE, Ladder
from ...runtime.quorum import roles_of
from ...runtime.state import Question, RunState
from ...runtime.times import iso
from ..kinds import human_address
from .answer import Outcome
from .asking_back import ASKED, ask_back
from .duty import Duties
from .passing import why_not_to
from .rota import OnDuty
from .rungs import Rungs
from .sent_acts import SentAct

OVERTAKEN = "something that was said later is recorded already: say it again, and name the question"


class Decision(NamedTuple):
    """What becomes of an act."""

    outcome: Outcome
    reason: str = ""
    by: str = ""
    """If a claim conflicts with another: who has made that one."""
    until: float = 0.0
    """Until when a claim holds: this one, or the one that it conflicts with."""
    records: tuple[Record, ...] = ()
    """What it adds to the log; nothing if the log has it, or it is refused."""
    to: str = NOBODY
    """The actor to which the entry is mail."""


class ActDecider:
    """Decides on the acts to one role's questions."""

    def __init__(self, host: Host, duties: Duties, rungs: Rungs) -> None:
        self._ports = host.ports
        self._duties = duties
        self._rungs = rungs

    async def decide(
        self, state: RunState, question: Question, sent: SentAct, now: float
    ) -> Decision:
        """What becomes of an act, as of its place in the stream.

        Args:
            state: The run, up to date.
            question: The open question that the act is for.
            sent: The act.
            now: Unix seconds: the time at which to look at the rotas.
        """
        if sent.given.verb == ASK_BACK:
            return _asked_back(state, question, sent)
        said = state.acts.get(question.id, [])
        before = [each for each in said if each.seq < sent.seq]
        act = _act(sent)
        if any(each.seq == sent.seq for each in said) or _is_repeated(before, act):
            return _recorded(sent)
        if (held := acts.held_by_another(before, act)) is not None:
            why = f"{held.by} is on it until {iso(held.until)}"
            return Decision("already_claimed", why, held.by, held.until)
        why = acts.why_not(before, act) or why_not_to(question, sent, self._ports)
        if why or len(before) < len(said):
            return Decision("invalid", why or OVERTAKEN)
        records, to = await self._records(state, question, sent, now)
        return _recorded(sent)._replace(records=tuple(records), to=to)

    async def _records(
        self, state: RunState, question: Question, sent: SentAct, now: float
    ) -> tuple[list[Record], str]:
        """What an act adds to the log, and the actor to which that is mail."""
        match sent.given.verb:
            case "claim":
                return [_claim(question, sent)], NOBODY
            case "pass":
                return await self._pass(state, question, sent, now)
            case "decline":
                return await self._decline(state, question, sent, now)
            case "ask-back":
                return [], NOBODY  # decided before

    async def _pass(
        self, state: RunState, question: Question, sent: SentAct, now: float
    ) -> tuple[list[Record], str]:
        ladder = state.ladders.get(question.id, NO_LADDER)
        given = sent.given
        other = given.to.removeprefix(ROLE) if given.to.startswith(ROLE) else sent.role
        rota = self._ports.ladders.rota_of(other)
        duty = await self._told(given.to, rota, now)
        record = Passed(
            id=question.id,
            by=given.person,
            at=sent.at,
            seq=sent.seq,
            vouched=given.vouched,
            rung=len(ladder.rungs),
            to=given.to,
            role="" if given.to.startswith(ROLE) or other == question.role else other,
            rota=rota,
            told=list(duty.told),
            absent=dict(duty.absent),
            nobody=duty.nobody,
        )
        return [record], human_address(other)

    async def _told(self, to: str, rota: str, now: float) -> OnDuty:
        if to.startswith(PERSON):
            return await self._duties.of_person(to.removeprefix(PERSON), rota, now)
        return await self._duties.of_rota(rota, now)

    async def _decline(
        self, state: RunState, question: Question, sent: SentAct, now: float
    ) -> tuple[list[Record], str]:
        """If nobody who was asked is left, the next escalation is reached in the same entry."""
        given = sent.given
        record = Declined(
            id=question.id, by=given.person, at=sent.at, seq=sent.seq, vouched=given.vouched
        )
        after = [*state.acts.get(question.id, ()), acts.act_of(record)]
        ladder = state.ladders.get(question.id, NO_LADDER)
        if acts.is_anybody_left(after, _asked(question, ladder), self._people(question)):
            return [record], NOBODY
        further, to = await self._rungs.escalated(state, question, now)
        return [record, *further], to

    def _people(self, question: Question) -> dict[str, list[str]]:
        """By role: who could answer the question, if the app says so."""
        excluded = question.quorum.exclude if question.quorum is not None else []
        return {
            role: [person for person in people if person not in excluded]
            for role, people in self._ports.people.items()
        }


def _asked_back(state: RunState, question: Question, sent: SentAct) -> Decision:
    asked = ask_back(state, question, sent)
    if isinstance(asked, str):
        return Decision("invalid", asked)
    to = state.frames[question.frame].actor
    return Decision("recorded", ASKED, sent.given.person, records=tuple(asked), to=to)


def _claim(question: Question, sent: SentAct) -> ClaimedQuestion:
    given = sent.given
    return ClaimedQuestion(
        id=question.id,
        by=given.person,
        at=sent.at,
        seq=sent.seq,
        vouched=given.vouched,
        until=_act(sent).until,
    )


def _act(sent: SentAct) -> Act:
    given = sent.given
    until = round(sent.at + given.minutes * 60, 3) if given.verb == "claim" else 0.0
    return Act(verb=given.verb, by=given.person, at=sent.at, seq=sent.seq, until=until, to=given.to)


def _is_repeated(before: list[Act], act: Act) -> bool:
    """Whether somebody declines what they have already declined or passed on."""
    return act.verb == "decline" and act.by in acts.declined(before)


def _recorded(sent: SentAct) -> Decision:
    """The decision on an act that the log has, or is about to get."""
    until, reason = _act(sent).until, ""
    if sent.given.verb == "claim":
        reason = f"until {iso(until)}" if until > sent.at else "released"
    elif sent.given.verb == "pass":
        reason = f"{sent.given.to} is asked too"
    return Decision("recorded", reason, sent.given.person, until)


def _asked(question: Question, ladder: Ladder) -> list[str]:
    """Who was asked so far, `person:ada` or `role:lead`."""
    first = [ladder.to] if ladder.to else [f"{ROLE}{role}" for role in roles_of(question)]
    return [*first, *(rung.to for rung in ladder.rungs if rung.reached and rung.to)]
