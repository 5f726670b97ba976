"""A question as a card: what a channel shows of it, rendered from the run's log. Pure."""

from __future__ import annotations

import json
from typing import NamedTuple

from ...bus.names import Names
from ...runtime.acts import claim_at
from ...runtime.channel import Card, CardAskBack, CardVote
from ...runtime.choice import choice_of
from ...runtime.form_text import choices
from ...runtime.ladder import NO_LADDER, PERSON, Ladder, LadderRung
from ...runtime.ladder_records import ASKED, named
from ...runtime.quorum import roles_of, terms
from ...runtime.state import ANSWERED, CANCELLED, COMPLETED, NO_QUORUM, OPEN, Question, RunState
from ...runtime.vote import summary, votes_on
from ...tools.shown_call import shown_call
from .answer_lines import accepted_from, answer_with
from .asked_of import asked_also_of
from .confidential import veiled
from .parked_question import ParkedQuestion, parked_question
from .shown_ask_back import shown_ask_backs

FIRST = -1
"""Instead of the place of a rung: the card that is sent because the question was asked."""
_LONGEST = 2_000
"""Characters of an answer or a result that a card shows."""
_CALL_STAYS = "the call does not run, and the agent is told"
_GOES_ON = "the run continues without an answer: with the workflow's default, or with an error"
_CONFIDENTIAL = "(confidential)"


class Place(NamedTuple):
    """Which card of a question it is."""

    role: str
    """Who is asked."""
    channel: str = ""
    """The channel's name; empty: it is shown without one."""
    rung: int = FIRST
    """The rung that it is sent for, by its place in the ladder."""
    first: str = ""
    """What the channel returned for the first card."""


def card_of(
    state: RunState, question: Question, place: Place, names: Names, *, secret: bool = False
) -> Card:
    """The card of a question as its run's log has it.

    Args:
        state: The run.
        question: One of its questions.
        place: Who the card is for, where and why.
        names: The app's names.
        secret: Whether the run is encrypted: the card then says nothing about its result.
    """
    shown = veiled(asked_also_of(parked_question(state, question), place.role))
    ladder = state.ladders.get(question.id, NO_LADDER)
    rung = _rung(ladder, place.rung)
    tool, arguments = _call(shown) if question.digest else ("", "")
    is_open = question.status == OPEN
    # A claim that has expired since is not shown again once anything else has happened.
    claim = claim_at(state.acts.get(question.id, ()), state.updated_at) if is_open else None
    return Card(
        key=".".join(filter(None, (question.id, place.role, place.channel, _word(place.rung)))),
        question=question.id,
        ticket=state.ticket,
        run=state.id,
        workflow=state.workflow,
        role=place.role,
        asked_of=shown.asked_of,
        agent=shown.agent,
        text=shown.question,
        context=shown.context,
        form=shown.form,
        choices=tuple(_word_of(each) for each in choices(shown.form)),
        tool=tool,
        arguments=arguments,
        digest=question.digest,
        accept=tuple(accepted_from(shown, place.role)),
        needed=terms(question),
        votes=_votes(question),
        asked_at=question.asked_at,
        deadline=question.deadline,
        silence=_CALL_STAYS if question.digest else _GOES_ON,
        kind=rung.kind if rung is not None else ASKED,
        number=_number(ladder, place.rung),
        to=rung.to if rung is not None and rung.to.startswith(PERSON) else ladder.to,
        told=_told(question, ladder, place),
        urgent=ladder.urgent,
        first=place.first,
        answer_with=answer_with(names, state.ticket, shown, place.role) if is_open else (),
        status=question.status,
        outcome=_outcome(state, question),
        by=question.by,
        closed_at=0.0 if is_open else question.at,
        claimed_by=claim.by if claim is not None else "",
        claimed_until=claim.until if claim is not None else 0.0,
        asked_back=_asked_back(state, question),
        run_status=_ended(state),
        result=_result(state, secret=secret or question.confidential),
    )


def _word(rung: int) -> str:
    return "first" if rung == FIRST else str(rung)


def _word_of(choice: object) -> str:
    return choice if isinstance(choice, str) else json.dumps(choice)


def _votes(question: Question) -> tuple[CardVote, ...]:
    return tuple(
        CardVote(
            by=each.by,
            role=each.role,
            choice="" if question.confidential else choice_of(question, each.text),
        )
        for each in question.votes
    )


def _asked_back(state: RunState, question: Question) -> tuple[CardAskBack, ...]:
    return tuple(
        CardAskBack(
            by=each.by,
            text="" if question.confidential else each.text,
            reply="" if question.confidential or each.failed else _short(each.reply),
            status="failed" if each.failed else "replied" if each.replied_at else "waiting",
        )
        for each in shown_ask_backs(state, question)
    )


def _call(question: ParkedQuestion) -> tuple[str, str]:
    """The tool to approve and its arguments, as far as everybody may see them."""
    if question.call is not None:
        return question.call.tool, question.call.arguments
    if question.confidential:
        return "", ""
    found = shown_call(question.question, question.context, question.digest)
    arguments = found.arguments
    return found.tool, "" if arguments is None else json.dumps(arguments, ensure_ascii=False)


def _number(ladder: Ladder, place: int) -> int:
    """The number of a rung among those of its kind; 0 for the first card."""
    if not 0 <= place < len(ladder.rungs) or ladder.rungs[place].kind == ASKED:
        return 0
    return ladder.number_of(place)


def _told(question: Question, ladder: Ladder, place: Place) -> tuple[str, ...]:
    rung = _rung(ladder, place.rung)
    if rung is None:  # who was on duty when it was asked
        rung = next((each for each in ladder.rungs if each.kind == ASKED), None)
    if rung is None:
        return ()
    return tuple(named(rung.told, rung.kind, place.role, roles_of(question)))


def _rung(ladder: Ladder, place: int) -> LadderRung | None:
    return ladder.rungs[place] if 0 <= place < len(ladder.rungs) else None


def _outcome(state: RunState, question: Question) -> str:
    """How a question ended, in words; empty: it is open."""
    if question.status == OPEN:
        return ""
    if question.status == ANSWERED:
        said = _CONFIDENTIAL if question.confidential else _short(question.text)
        return f"{question.by or 'somebody'} answered: {said}"
    if question.status == NO_QUORUM:
        said = _CONFIDENTIAL if question.confidential else summary(votes_on(question))
        return f"people do not agree: {said}"
    if question.status == "expired":
        return f"nobody decided in time: {_CALL_STAYS if question.digest else _GOES_ON}"
    return "no answer is needed any longer" + (": the run has ended" if state.ended else "")


def _ended(state: RunState) -> str:
    """How the run ended, in one of three words; empty: it has not ended."""
    if not state.ended:
        return ""
    return state.status if state.status in {COMPLETED, CANCELLED} else "failed"


def _result(state: RunState, *, secret: bool) -> str:
    if not state.ended or secret:
        return ""
    if state.status != COMPLETED:
        return _short(state.error)
    text = bytes(state.result).decode("utf-8", "replace")
    if text.startswith('{"$blob":'):
        return f"a large result: layby show {state.id}"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _short(text)
    if value is None:
        return ""
    return _short(value if isinstance(value, str) else text)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
