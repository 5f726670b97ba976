"""What people asked back about a question, and the replies, as others see them."""

from __future__ import annotations

import msgspec

from ...bus.token import check_words
from ...runtime.ask_backs import AskBack
from ...runtime.state import Question, RunState
from ...runtime.times import check_times, iso


class ShownAskBack(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Something that a person asked back.

    Attributes:
        by: Who asked.
        at: When.
        text: What they asked; empty if it cannot be read here.
        vouched: Who vouches for `by`, as of an answer.
        reply: The reply; if it failed, the reason.
        replied_by: Who replied: the agent, or a person; empty: the app's code.
        replied_at: When; empty: there is no reply yet.
        failed: Whether there will be no reply.
    """

    by: str
    at: str
    text: str = ""
    vouched: str = ""
    reply: str = ""
    replied_by: str = ""
    replied_at: str = ""
    failed: bool = False

    def __post_init__(self) -> None:
        """Check the name and the times. Raises ValueError."""
        check_words(self.by)
        check_times(self.at, self.replied_at)

    @property
    def plain(self) -> ShownAskBack:
        """What everybody may see of it if the question is confidential."""
        return msgspec.structs.replace(self, text="", reply="")


def shown_ask_backs(state: RunState, question: Question) -> tuple[ShownAskBack, ...]:
    """What people asked back about a question, in its order."""
    return tuple(map(_shown, state.asked_back.get(question.id, ())))


def _shown(asked: AskBack) -> ShownAskBack:
    reply = asked.reply
    return ShownAskBack(
        by=asked.by,
        at=iso(asked.at),
        text=asked.text,
        vouched=asked.vouched,
        reply=reply.text if reply is not None else "",
        replied_by=reply.by if reply is not None else "",
        replied_at=iso(reply.at) if reply is not None else "",
        failed=reply is not None and reply.failed,
    )
