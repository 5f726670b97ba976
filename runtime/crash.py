"""Named points at which a test can kill the process, like a crash.

`LAYBY_CRASH=<name>` or `<name>:<k>` kills the process with SIGKILL when the point is reached for
the k-th time. Without it a point costs one comparison.
"""

from __future__ import annotations

import os
import signal

_NAME, _, _COUNT = os.environ.get("LAYBY_CRASH", "").partition(":")
_left = int(_COUNT or "1")

POINTS = (
    "event_taken",
    "before_append",
    "after_append",
    "before_effect",
    "after_effect",
    "before_record_put",
    "after_record_put",
    "after_question_for_role",
    "after_question",
    "after_timer",
    "before_answered",
    "after_answered",
    "before_voted",
    "after_voted",
    "after_record_closed",
    "after_receipt",
    "before_arrived",
    "after_arrived",
    "before_ended_tidy",
    "before_blocked",
    "after_blocked",
    "before_unblocked",
    "after_unblocked",
    "before_reopened",
    "after_reopened",
    "before_index",
    "after_index",
    "before_ack",
    "command_taken",
    "command_done",
    "after_outcome",
    "purge_fenced",
    "purge_keys_destroyed",
    "purge_log_removed",
    "purge_row_removed",
    "before_expired",
    "after_votes_in_time",
    "after_expired",
    "after_rung_armed",
    "before_reached",
    "after_reached",
    "after_rung_published",
    "after_rung_recorded",
    "before_act",
    "after_act",
    "after_act_shown",
    "before_reply",
    "after_reply",
    "after_replied",
    "after_reply_asked",
    "after_request_withdrawn",
    "after_clock_started",
    "after_reply_told",
    "before_opened",
    "after_opened",
    "after_opened_shown",
    "after_card_sent",
    "after_card_recorded",
    "after_card_held",
    "after_notice",
    "after_watch_armed",
    "after_unserved_recorded",
)
"""All points, in the order of a run."""


def point(name: str) -> None:
    """Kill the process here if this point was chosen."""
    if name == _NAME:
        _reached()


def _reached() -> None:
    global _left  # noqa: PLW0603  counts down to the one crash of this process
    _left -= 1
    if _left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
