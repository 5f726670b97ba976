"""The campaign `votes`: people decide together, while everything that counts their votes fails."""

from __future__ import annotations

import random

from tests.votes_app import POINTS

from .app import Op
from .campaign import Campaign
from .crowd import CREW, MEMBERS, Poll
from .plan import Manner, Ticket
from .polls import Crowd
from .report import Report
from .siege import Siege
from .voters import Voters

_PATIENT = 60.0
_MANNERS: tuple[Manner, ...] = ("prompt", "prompt", "prompt", "edge", "never")
_MORE = ("after_receipt", "after_record_closed", "before_expired")
_POLLS = (
    Poll(role="finance", number=2),
    Poll(role="finance", number=2, exclude=["cleo"]),
    Poll(role="finance", number=3),
    Poll(role="finance", number=2, veto=True),
    Poll(role="finance", number=2, colours=True),
    Poll(role="finance", number=3, colours=True),
    Poll(role="finance", groups={"finance": 1, "legal": 1}),
    Poll(role="legal", groups={"finance": 2, "legal": 1}, exclude=["gus"]),
    Poll(role="legal", number=3, groups={"finance": 1, "legal": 1}),
    Poll(role="legal", groups={"legal": 2, "finance": 1}, veto=True),
    Poll(role=CREW, number=3),
)


def polled(draw: random.Random, n: int) -> Ticket:
    """A ticket on which people decide once or twice, in time or at the deadline."""
    manner: Manner = draw.choice(_MANNERS)
    seconds = _PATIENT if manner == "prompt" else draw.uniform(1.0, 2.0)
    asks = [
        Op(kind="poll", name=f"{place}-poll", seconds=seconds, poll=draw.choice(_POLLS))
        for place in range(draw.choice([1, 1, 2]))
    ]
    return Ticket(n=n, manner=manner, ops=[*asks, Op(kind="step", name=f"{len(asks)}-last")])


async def votes(c: Campaign, *, rounds: int = 0, tickets: int = 3) -> Report:
    """People decide together while workers die, stop and are cut off, and the server is killed."""
    c.witnesses.append(Crowd(c.driver))
    voters = Voters(c.driver, c.seed)
    siege = Siege(c, polled, voters.early, mailboxes=[f"answers-{role}" for role in MEMBERS])
    return await siege.run((*POINTS, *_MORE), rounds=rounds, tickets=tickets)
