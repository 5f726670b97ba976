"""What the inbox shows: the open questions, and one of them opened."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from ...views.rows import QuestionRow
from ..acting import has_opened, name_here
from ..forms.diff import Line, value_diff
from ..forms.field import Choice, Field
from ..forms.form import Form
from ..login.asked import may_answer, may_see
from ..login.session import Session
from .inbox_answer import Draft, Sent, named_lines, why_not
from .inbox_call import CallView, call_in
from .inbox_evidence import Evidence
from .inbox_source import Answer, Thread
from .words import moment

SOON: Final = 3600.0
"""Seconds before a deadline from which on it is soon."""
_BUTTONS: Final = 6
"""Choices up to which each has a button of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question in the list.

    Attributes:
        row: The question.
        left: Seconds until its deadline.
        used: How much of its time is over, in percent.
        mine: Whether this person may answer it.
    """

    row: QuestionRow
    left: float
    used: float
    mine: bool

    @property
    def is_soon(self) -> bool:
        """Whether little time is left."""
        return self.left < SOON

    @property
    def first_line(self) -> str:
        """What is asked, in brief."""
        lines = [line for line in self.row.question.splitlines() if line.strip()]
        return lines[-1][:300] if lines else "(empty)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    """The list.

    Attributes:
        items: The questions that are shown, nearest deadline first.
        roles: How many are open, by role.
        role: The role that is shown; empty: all.
        query: What the addresses of questions carry on, `?role=manager`.
        total: How many are open in all.
    """

    items: tuple[Item, ...]
    roles: tuple[tuple[str, int], ...]
    role: str
    query: str
    total: int

    @property
    def due_soon(self) -> int:
        """How many are due within the hour."""
        return sum(item.is_soon for item in self.items)


def inbox(rows: Sequence[QuestionRow], session: Session, role: str) -> Inbox:
    """The list as this person sees it."""
    seen = [row for row in rows if may_see(row, session)]
    roles = tuple(sorted(Counter(each for row in seen for each in row.roles).items()))
    items = tuple(item(row, session) for row in seen if not role or role in row.roles)
    query = f"?{urlencode({'role': role})}" if role else ""
    return Inbox(items=items, roles=roles, role=role, query=query, total=len(seen))


def item(row: QuestionRow, session: Session) -> Item:
    """A question as it is listed."""
    asked, deadline = moment(row.asked_at).timestamp(), moment(row.deadline).timestamp()
    now = time.time()
    used = (now - asked) / max(1.0, deadline - asked) * 100
    return Item(
        row=row,
        left=deadline - now,
        used=round(min(100.0, max(0.0, used)), 1),
        mine=may_answer(row, session),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A question, opened.

    Attributes:
        item: The question.
        thread: The question with its answers.
        call: The call to approve; None if it asks for something else.
        evidence: What is known of the run before it.
        field: The form of its answer; None: plain text, or a call.
        edit: The form of the call's arguments; None if they cannot be edited here.
        buttons: Answers that are one press each; empty if it needs more.
        text: The plain text that was typed.
        errors: What is wrong with what was posted, by field.
        why_not: Why this person cannot answer it here; empty if they can.
        lines: Shell commands that answer it.
        sent: The answer that this person sent.
        editing: Whether the arguments are being edited.
        is_posted: Whether it shows what was posted.
        run_status: The status of its run; empty: unknown.
        me: This person's name, if they may claim it, pass it on or decline it here; else empty.
    """

    item: Item
    thread: Thread
    call: CallView | None
    evidence: Evidence
    field: Field | None
    edit: Field | None
    buttons: tuple[Choice, ...]
    text: str
    errors: dict[str, str]
    why_not: str
    lines: tuple[str, ...]
    sent: Sent | None
    editing: bool = False
    is_posted: bool = False
    run_status: str = ""
    me: str = ""

    @property
    def row(self) -> QuestionRow:
        """The question."""
        return self.thread.question

    @property
    def is_open(self) -> bool:
        """Whether it can still be answered."""
        return self.thread.status == "open" and self.item.left > 0

    @property
    def unopened(self) -> bool:
        """Whether this person may answer it, and is not known to have looked at it."""
        return bool(self.me) and self.is_open and not has_opened(self.row, self.me)

    @property
    def is_closed(self) -> bool:
        """Whether it has ended."""
        return not self.is_open

    @property
    def winner(self) -> Answer | None:
        """The answer that counts."""
        return self.thread.winner

    @property
    def outcome(self) -> str:
        """What became of the answer that was sent from here.

        `none`: none was sent; `stored`: no worker has said; `mine`: this person had answered
        before; else the outcome of its receipt.
        """
        if self.sent is None:
            return "none"
        receipt = self.receipt
        if receipt is None:
            return "stored"
        if receipt.outcome == "already_answered" and receipt.by == self.sent.by:
            return "mine"
        return receipt.outcome

    @property
    def receipt(self) -> Answer | None:
        """The receipt of the answer that was sent from here."""
        if self.sent is None:
            return None
        if (found := self.sent.receipt) is not None:
            return Answer(
                by=found.by or "",
                at=found.at,
                seq=found.seq,
                outcome=found.outcome,
                reason=found.reason or "",
            )
        return next((each for each in self.thread.answers if each.seq == self.sent.seq), None)

    @property
    def changes(self) -> list[Line]:
        """What an edit has changed in the arguments."""
        if self.sent is None or self.call is None or self.call.arguments is None:
            return []
        try:
            edited: Any = json.loads(self.sent.text)["edit"]
        except (ValueError, KeyError, TypeError):
            return []
        return value_diff(self.call.arguments, edited)

    @property
    def takes(self) -> str:
        """What its page offers: `call`, `buttons`, `form` or `text`."""
        if self.call is not None:
            return "call"
        return "buttons" if self.buttons else "form" if self.field is not None else "text"


def opened(
    thread: Thread,
    session: Session,
    evidence: Evidence,
    *,
    draft: Draft | None = None,
    sent: Sent | None = None,
    read_only: bool = False,
    run_status: str = "",
) -> Opened:
    """A question as this person sees it."""
    row = thread.question
    call = call_in(row, evidence.arguments)
    draft = draft or Draft()
    field = None if row.form is None or call is not None else _field(Form(row.form), draft)
    return Opened(
        item=item(row, session),
        thread=thread,
        call=call,
        evidence=evidence,
        field=field,
        edit=_edit(call, draft),
        buttons=_buttons(field),
        text=draft.typed.text("text"),
        errors=draft.errors,
        why_not=why_not(row, session, read_only=read_only),
        lines=tuple(named_lines(row, session)),
        sent=sent,
        editing=draft.changed is not None or any(key != "text" for key in draft.errors),
        is_posted=bool(draft.typed.pairs),
        run_status=run_status,
        me=name_here(session, row.role) if may_answer(row, session) and not read_only else "",
    )


def _field(form: Form, draft: Draft) -> Field:
    return form.drawn(draft.typed, draft.errors) if draft.typed.pairs else form.fresh()


def _edit(call: CallView | None, draft: Draft) -> Field | None:
    if call is None or call.arguments is None or call.schema is None:
        return None
    form = Form(call.schema, "edit-")
    has_edit = any(name == "f" or name.startswith(("f/", "f!")) for name in draft.typed.pairs)
    return form.drawn(draft.typed, draft.errors) if has_edit else form.filled(call.arguments)


def _buttons(field: Field | None) -> tuple[Choice, ...]:
    """A choice of a few, which needs no form."""
    if field is None or field.optional or field.error or field.kind not in {"yesno", "choice"}:
        return ()
    return field.choices if len(field.choices) <= _BUTTONS else ()
