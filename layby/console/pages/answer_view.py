"""What the page of a link shows: the question as it is now, and what its button does."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from ...actors.people.answer_link import AnswerLink, Flaw
from ...runtime.channel import Outcome
from ...views.rows import QuestionRow
from ..forms.field import Field
from ..forms.form import Form
from .inbox_answer import Draft, answer_in
from .inbox_call import CallView, call_in
from .inbox_source import Answer, Thread
from .words import moment

_LONGEST: Final = 200
"""Characters of an answer that the page repeats."""
FLAWS: Final[dict[Flaw, tuple[int, str, str]]] = {
    "garbled": (404, "This link is not complete", "Copy the whole address from the mail."),
    "forged": (403, "This link was changed", "Copy the address from the mail again."),
    "old_key": (
        410,
        "This link is too old",
        "Its key is no longer used. Answer in another way, or wait for the next mail.",
    ),
    "expired": (410, "This link has expired", "Its question was closed days ago."),
}
"""Status, title and next step for a link that is not accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkView:
    """A question as somebody with a link to it sees it.

    Attributes:
        link: The link.
        thread: The question, with its answers.
        call: The call to approve; None if it asks for something else.
        field: The form of the answer; None: plain text, or the link has the answer.
        draft: What was posted, and what is wrong with it.
        outcome: What became of what was posted; None: nothing was.
    """

    link: AnswerLink
    thread: Thread
    call: CallView | None
    field: Field | None
    draft: Draft
    outcome: Outcome | None = None

    @property
    def row(self) -> QuestionRow:
        """The question."""
        return self.thread.question

    @property
    def is_open(self) -> bool:
        """Whether it can still be answered."""
        return self.thread.status == "open" and moment(self.row.deadline).timestamp() > time.time()

    @property
    def winner(self) -> Answer | None:
        """The answer that counts."""
        return self.thread.winner

    @property
    def voted(self) -> str:
        """What this person has voted; empty: they have not."""
        cast = (each for each in self.row.votes if each.by == self.link.person)
        return next((each.choice or "something confidential" for each in cast), "")

    @property
    def is_mine(self) -> bool:
        """Whether this person's answer is the one that counts."""
        return self.winner is not None and self.winner.by == self.link.person

    @property
    def why_not(self) -> str:
        """Why nothing can be answered here, although it is open; empty: it can."""
        if self.row.encrypted:
            return "It is encrypted, and this console has no key to show it."
        if self.link.act == "approve" and (self.call is None or self.call.arguments is None):
            return "Its exact arguments cannot be shown here."
        return ""

    @property
    def takes(self) -> str:
        """What has to be filled in: `nothing`, `reason`, `text` or `form`."""
        if self.link.act == "open":
            return "text" if self.field is None else "form"
        return "reason" if self.link.act == "reject" else "nothing"

    @property
    def button(self) -> str:
        """What the button says."""
        if self.link.act == "choose":
            return f"Answer: {_short(self.link.choice)}"
        return {"approve": "Approve", "reject": "Reject"}.get(self.link.act, "Answer")

    @property
    def effect(self) -> str:
        """What the button does."""
        tool = (self.call.tool if self.call else "") or "The call"
        if self.link.act == "approve":
            return f"{tool} runs with exactly these arguments, once."
        if self.link.act == "reject":
            return f"{tool} does not run, and the agent is told."
        return "The run continues with this answer."

    @property
    def status(self) -> int:
        """The HTTP status."""
        if self.outcome is not None:
            codes = {"accepted": 200, "counted": 200, "stored": 202, "invalid": 422}
            return codes.get(self.outcome.outcome, 409)
        return 422 if self.draft.errors else 200


def is_of(link: AnswerLink, row: QuestionRow) -> bool:
    """Whether a question is the one that a link was made for."""
    said = (link.question, link.ticket, link.digest)
    asks_for_it = (link.act in {"approve", "reject"}) == bool(row.digest)
    return said == (row.id, row.ticket, row.digest) and link.role in row.roles and asks_for_it


def link_view(
    link: AnswerLink,
    thread: Thread,
    *,
    draft: Draft | None = None,
    outcome: Outcome | None = None,
) -> LinkView:
    """The page's view of a question."""
    row, draft = thread.question, draft or Draft()
    return LinkView(
        link=link,
        thread=thread,
        call=call_in(row),
        field=_field(link, row, draft),
        draft=draft,
        outcome=outcome,
    )


def answer_of(link: AnswerLink, row: QuestionRow, draft: Draft) -> Draft:
    """What pressing the button says, with the text of the answer."""
    text = draft.typed.text("text").strip()
    match link.act:
        case "approve":
            return Draft(text=f"approve {link.digest}", typed=draft.typed)
        case "reject":
            return Draft(text=f"reject: {text}" if text else "reject", typed=draft.typed)
        case "choose":
            return Draft(text=link.choice, typed=draft.typed)
        case "open":
            return answer_in(row, None, draft.typed)


def _field(link: AnswerLink, row: QuestionRow, draft: Draft) -> Field | None:
    if link.act != "open" or row.form is None:
        return None
    form = Form(row.form)
    return form.drawn(draft.typed, draft.errors) if draft.typed.pairs else form.fresh()


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
