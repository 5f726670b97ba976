"""An app whose questions several people decide, for workers in processes of their own."""

from __future__ import annotations

from typing import Any

from layby import App, Role, Step

FINANCE = Role("finance", people=["ada", "bob", "cleo"])
LEGAL = Role("legal", people=["dan", "eve", "ada"])
POINTS = ("after_question_for_role", "before_voted", "after_voted", "after_votes_in_time")
"""The crash points that only such questions reach."""

app = App("votes", roles=[FINANCE, LEGAL])


async def payout(event: dict[str, Any], step: Step) -> dict[str, Any]:
    """Ask finance, and legal too if the event says so; the result is what they decide."""
    options = {key: event[key] for key in ("quorum", "groups", "veto", "exclude") if key in event}
    answer = await step.ask(
        "finance", "Pay it?", answer=bool, timeout=event.get("timeout", 60), **options
    )
    votes = [[vote.by, vote.role, vote.choice, vote.vouched] for vote in answer.votes]
    return {"value": answer.value, "by": answer.by, "votes": votes}


app.workflow(on="bank.payout", key="ticket")(payout)
