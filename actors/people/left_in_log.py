"""Questions whose content a ticket's record leaves where it is anyway: in the logs of their runs.

A record is one message, which every change writes again. While it is small it holds what its
questions say. Beyond that it holds what decides about answers, so that no texts can fill it. The
content is read from the log where it is needed: to judge an answer to that question, and to show
it to people.
"""

from __future__ import annotations

import msgspec

from ...bus.errors import Erased, KeyMissing, PermissionDenied, StreamMissing, Tampered
from ...bus.log import Log
from ...bus.requests import Requests
from ...runtime.first_stored import entries
from ...runtime.index import ENCRYPTED, ERASED
from ...runtime.question_fields import CONTENT, fields_of
from ...runtime.run import LiveRun
from ...runtime.state import RunState
from .confidential import readable
from .parked_question import IN_LOG, ParkedQuestion, parked_question

_LINE = 120
"""Characters of a question that stay, for those who may not read the log."""
_SHOWN = ("ladder", "claim", "declined", "cards", "opened")
"""What decides nothing, besides the content."""


def left_in_log(question: ParkedQuestion) -> ParkedQuestion:
    """A question without what is read from the log of its run. Repeatable."""
    if question.is_in_log:
        return question
    left = msgspec.structs.replace(
        question,
        question=_line(question.question),
        context="",
        agent="",
        form=None,
        call=None,
        answer_with=(),
        ladder=(),
        claim=None,
        declined=[],
        cards=(),
        opened=(),
        sealed=b"",
    )
    says_all = not question.sealed and fields_of(left, CONTENT) == fields_of(question, CONTENT)
    is_erased = question.question == ERASED  # its log cannot be read
    if says_all and (is_erased or fields_of(left, _SHOWN) == fields_of(question, _SHOWN)):
        return left
    return msgspec.structs.replace(left, sealed=IN_LOG)


def _line(text: str) -> str:
    line = text.partition("\n")[0][:_LINE]
    return line if line == text else f"{line} …"


def restored(
    question: ParkedQuestion, state: RunState, names: tuple[str, ...] = (*CONTENT, *_SHOWN)
) -> ParkedQuestion:
    """A question with these fields from the log of its run, which `state` is the fold of.

    It still counts as left in the log if they are not all that it says. If the log does not have
    it, because the run was removed or somebody has made up the record, it says nothing: an answer
    to it cannot be recorded.
    """
    asked = state.questions.get(question.id)
    if asked is None:
        return msgspec.structs.replace(question, question=ERASED, sealed=b"")
    shown = parked_question(state, asked)
    found = {name: getattr(shown, name) for name in names}
    sealed = b"" if found.keys() >= set(CONTENT) else question.sealed
    return msgspec.structs.replace(question, sealed=sealed, **found)


async def in_full(requests: Requests, question: ParkedQuestion) -> ParkedQuestion:
    """A question with all that people are shown, as far as the keys and rights here go."""
    if not question.is_in_log:
        return await readable(requests.vault, question)
    live = LiveRun(log := Log(requests), RunState(id=question.run))
    try:
        for message in await entries(log, question.run):
            live.learn(message)
    except Erased:
        return msgspec.structs.replace(question, question=ERASED)
    except (KeyMissing, Tampered):
        return msgspec.structs.replace(question, question=ENCRYPTED)
    except (PermissionDenied, StreamMissing):
        return msgspec.structs.replace(question, sealed=b"")
    return restored(question, live.state)
