"""How questions reach people: the port to a channel, and the card that a channel shows.

A channel sends cards and changes them. It decides nothing, and keeps nothing: what it returns from
`send` is recorded in the run's log, and given back when the card has changed, to any worker.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from .errors import InvalidSetup, LaybyError
from .ladder_records import RungKind
from .vouched import Via

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


class CardVote(msgspec.Struct, frozen=True, kw_only=True):
    """A vote that counts."""

    by: str
    role: str
    choice: str


class CardAskBack(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person asked back before they answer."""

    by: str
    text: str
    """Empty if the question is confidential."""
    reply: str = ""
    """Empty if there is none yet, or the question is confidential."""
    status: Literal["waiting", "replied", "failed"] = "waiting"
    """`failed`: there will be no reply."""


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """An open or closed question, as it is shown to the people of one role.

    Every text in it may come from outside and is hostile: a channel escapes it for its own format.
    """

    key: str
    """The same for each attempt to send this card, and for no other card: use it to find out
    whether an earlier attempt got through."""
    question: str
    """The question's id."""
    ticket: str
    run: str
    workflow: str = ""
    role: str
    """Who is asked."""
    asked_of: str = ""
    """For a question that was escalated to `role`: the role that was asked first."""
    agent: str = ""
    """Who asks; empty: the workflow itself."""
    text: str
    """The question."""
    context: str = ""
    form: dict[str, Any] | None = None
    """The JSON Schema of an answer; None: any text."""
    choices: tuple[str, ...] = ()
    """All possible answers, if there are only a few."""
    tool: str = ""
    """For a call to approve: the tool."""
    arguments: str = ""
    """For a call to approve: its exact arguments, as JSON."""
    digest: str = ""
    """The digest of a call to approve; empty: the question is not an approval."""
    accept: tuple[str, ...] = ()
    """Who must vouch for the name of somebody who answers; empty: nobody."""
    needed: str = ""
    """If several people decide: what it takes, in words."""
    votes: tuple[CardVote, ...] = ()
    """If several people decide: the votes that count."""
    asked_at: float
    """Unix seconds."""
    deadline: float
    """Unix seconds."""
    silence: str
    """What happens if nobody answers, in words."""
    kind: RungKind = "asked"
    """Why it is sent: the question was asked, or its ladder has reached a rung."""
    number: int = 0
    """For a reminder or escalation: its number, from 1."""
    to: str = ""
    """The person it is meant for, `person:ada`; empty: everybody with the role."""
    told: tuple[str, ...] = ()
    """The names of those who are told; empty: everybody with the role."""
    urgent: bool = False
    first: str = ""
    """For a later card on the question: what `send` returned for the first one on this channel."""
    answer_with: tuple[str, ...] = ()
    """Shell commands that answer exactly this question."""
    status: str = "open"
    """open, answered, expired, cancelled, or no_quorum."""
    outcome: str = ""
    """For a closed question: how it ended, in words, with the answer."""
    by: str = ""
    """For an answered question: who answered."""
    closed_at: float = 0.0
    """Unix seconds; 0: it is open."""
    claimed_by: str = ""
    """Who has said that they will answer it; empty: nobody, or their claim has expired."""
    claimed_until: float = 0.0
    """Unix seconds."""
    asked_back: tuple[CardAskBack, ...] = ()
    """What people asked back, oldest first, with the replies."""
    run_status: str = ""
    """How the run ended: completed, failed or cancelled; empty: it has not ended."""
    result: str = ""
    """For a run that ended: its result or its error, in words."""


@runtime_checkable
class Channel(Protocol):
    """One way to people: a room in a chat, a mailbox, an address that takes webhooks.

    Any worker may call it, several at a time. Every call may be repeated, since a worker can die
    right after it: a channel that can look up what it has sent, by `Card.key`, sends nothing twice.
    docs/channels.md says how to write one; `layby.testing.check_channel` holds it to these rules.
    """

    @property
    def name(self) -> str:
        """Its name in logs and subjects: a lower-case letter, then letters, digits, - and _."""
        ...

    def missing(self) -> str:
        """What it lacks in this process, such as the variable with its password; empty: nothing.

        A worker does not read the mailboxes of a channel that lacks something, and says so; the
        process that has it does, for instance `layby notify`.
        """
        ...

    async def send(self, card: Card) -> str:
        """Show a card to people; return an id of up to 500 characters that finds it again.

        Raises:
            ChannelError: not now; it is tried again.
            Undeliverable: never.
        """
        ...

    async def update(self, ref: str, card: Card) -> None:
        """Show the current state of an open card. Raises as `send` does, which returned `ref`."""
        ...

    async def close(self, ref: str, card: Card) -> None:
        """Show that its question is closed, and how. Called again when its run has ended.

        Raises as `send` does.
        """
        ...


@runtime_checkable
class Finding(Protocol):
    """A channel that can look up whether it has sent a card."""

    async def find(self, card: Card) -> str:
        """What `send` has returned, or would have, for this card; empty: it was not sent.

        It is called if nobody knows whether a card was sent, and its question is closed by now: it
        is then closed, too. Raises as `send` does.
        """
        ...


class ChannelError(LaybyError):
    """A channel could not do what it was told. The card is tried again."""

    def __init__(self, reason: str, *, retry_after: float | None = None) -> None:
        """Say why.

        Args:
            reason: In words, without secrets: it is recorded in the log.
            retry_after: Seconds after which the channel wants to be called again; None: by itself.
        """
        super().__init__(reason)
        self.retry_after = retry_after


class Undeliverable(ChannelError):
    """A channel will never be able to show this card: its address is wrong, or it is refused."""


Said = Literal["answer", "claim", "pass", "decline", "ask-back", "opened"]
"""What a person can say to a question; `opened`: they look at it, and there is no receipt."""


class Inbound(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said to a question through a channel."""

    says: Said = "answer"
    ticket: str
    question: str
    role: str
    person: str
    """Their name in subjects. The channel vouches for it: it has looked up who they are."""
    answer: Any = None
    """As the nats CLI would send it in the field `answer`."""
    text: str = ""
    """For anything but an answer: who it is passed to, or what is asked back."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of what a person said: the receipt, in words."""

    outcome: str
    """See docs/subjects.md: `accepted`, `counted`, `too_late`, and so on; `stored` if no worker has
    handled it in time: it is handled later."""
    reason: str = ""
    by: str = ""


class Desk(Protocol):
    """Where a channel hands in what people said. It may only publish in their names."""

    async def say(self, said: Inbound, *, via: Via) -> Outcome:
        """Store what a person said, and wait for its receipt.

        Args:
            said: What, and who.
            via: What vouches for the person: `slack`, `link` or `token`.

        Raises:
            InvalidTicket: the ticket, the role or the person cannot be part of a subject.
            BusError: it may not have been stored.
        """
        ...

    async def card(self, ticket: str, question: str, role: str) -> Card | None:
        """A question as it is now; None: there is no such question."""
        ...


@runtime_checkable
class Listening(Protocol):
    """A channel on which people answer too. `layby notify` runs it: workers only send."""

    async def listen(self, desk: Desk) -> None:
        """Hand in what people say, until cancelled. Reconnects by itself."""
        ...


def checked_channels(given: Sequence[Channel], whose: str) -> tuple[Channel, ...]:
    """The channels of a role. Raises InvalidSetup."""
    if isinstance(given, Channel):
        raise InvalidSetup(f"{whose}: channels={given!r}: give a list")
    found = tuple(given)
    unchecked: tuple[Any, ...] = found
    for each in unchecked:
        if not isinstance(each, Channel):
            raise InvalidSetup(f"{whose}: {each!r} is not a channel")
        if not _NAME.fullmatch(each.name):
            raise InvalidSetup(
                f"{whose}: channel {each.name!r}: use a lower-case letter, then letters, digits, "
                "- and _, 32 at most"
            )
    names = [each.name for each in found]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise InvalidSetup(f"{whose} has two channels {twice!r}: give one of them a name")
    return found
