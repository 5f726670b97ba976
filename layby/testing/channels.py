"""Channels for tests, and a check of the rules that every channel must keep."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from ..runtime.channel import Card, Channel, ChannelError, checked_channels

Call = tuple[str, str, Card]
"""`send`, `update` or `close`; the card's reference; the card."""


@dataclass
class MemoryChannel:
    """A channel that keeps its cards in memory, for tests of your app.

    Attributes:
        name: Its name.
        calls: Every call that has succeeded, in order.
        fails: The error that each call raises; None: calls succeed.
        lacks: What `missing` says.
    """

    name: str = "memory"
    calls: list[Call] = field(default_factory=list[Call])
    fails: Exception | None = None
    lacks: str = ""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def sent(self) -> list[Card]:
        """The cards that were sent, in order."""
        return [card for what, _, card in self.calls if what == "send"]

    @property
    def shown(self) -> dict[str, Card]:
        """What people see now: the last state of each card, by its reference."""
        return {ref: card for _, ref, card in self.calls}

    def missing(self) -> str:
        """See `Channel`."""
        return self.lacks

    async def send(self, card: Card) -> str:
        """See `Channel`."""
        ref = next((ref for _, ref, shown in self.calls if shown.key == card.key), card.key)
        self._note("send", ref, card)
        return ref

    async def update(self, ref: str, card: Card) -> None:
        """See `Channel`."""
        self._note("update", ref, card)

    async def close(self, ref: str, card: Card) -> None:
        """See `Channel`."""
        self._note("close", ref, card)

    async def wait(self, count: int = 1, within: float = 30.0) -> list[Card]:
        """The cards that were sent, once there are `count`. Raises TimeoutError."""
        async with asyncio.timeout(within):
            while len(self.sent) < count:
                await self._next()
        return self.sent

    async def wait_closed(self, within: float = 30.0) -> Card:
        """The first card that shows how its question ended. Raises TimeoutError."""
        async with asyncio.timeout(within):
            while True:
                for card in self.shown.values():
                    if card.status != "open":
                        return card
                await self._next()

    async def _next(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _note(self, what: str, ref: str, card: Card) -> None:
        if self.fails is not None:
            raise self.fails
        self.calls.append((what, ref, card))
        self._changed.set()


_HOSTILE: Final = (
    "<script>alert(1)</script>",
    "*bold* _it_ `code` <!channel> <@U1|ada> [x](javascript:alert(1))",
    "\u202eevil\u2066 \x00\x1b[2J\r\nSubject: other\r\n\r\nbody",
    'it\'s "quoted" & %s {0} $(rm) ; \\',
    "z" * 40_000,
)
_LONGEST: Final = 500
_SECRET: Final = re.compile(r"xox[abp]-|Bearer |password=|://[^/\s:@]+:[^/\s@]+@", re.IGNORECASE)


def example_card(**fields: Any) -> Card:
    """A card of an open question, for tests of a channel; `fields` replace what it says."""
    given: dict[str, Any] = {
        "key": "q7x2m9k4w1bd.developer.memory.first",
        "question": "q7x2m9k4w1bd",
        "ticket": "T125",
        "run": "3f9a1c07be5522d804aa",
        "workflow": "resolve",
        "role": "developer",
        "agent": "Technical Support",
        "text": "Is this a known problem?",
        "context": "Priority: critical",
        "asked_at": 1_795_337_966.0,
        "deadline": 1_795_352_366.0,
        "silence": "the run continues without an answer",
        "answer_with": ("nats pub -J --no-templates developer.response.T125 'yes'",),
    }
    return Card(**{**given, **fields})


async def check_channel(channel: Channel, *, within: float = 10.0) -> None:
    """Hold a channel to the rules of docs/channels.md, with the real service that it sends to.

    It is sent some cards, several times, with hostile texts in every field, and each is updated and
    closed, several times and in the wrong order.

    Args:
        channel: The channel, with all that it needs.
        within: Seconds that a call may take.

    Raises:
        AssertionError: it breaks a rule; the message says which.
        InvalidSetup: it is not a channel, or its name is not valid.
    """
    checked_channels([channel], "this check")
    _demand(not channel.missing(), f"missing() says: {channel.missing()}")
    refs: set[str] = set()
    for card in _cards(channel.name):
        ref = await _called(channel.send(card), "send", within)
        again = await _called(channel.send(card), "send of the same card", within)
        for each in (ref, again):
            fits = isinstance(each, str) and 0 < len(each) <= _LONGEST
            _demand(fits, f"send returned {str(each)[:80]!r}: return 1 to {_LONGEST} characters")
        _demand(ref not in refs, f"send returned {ref[:80]!r} for two different cards")
        refs.add(ref)
        await _called(channel.update(ref, card), "update", within)
        closed = _closed(card)
        await _called(channel.close(ref, closed), "close", within)
        await _called(channel.update(ref, card), "update after close", within)
        await _called(channel.close(ref, closed), "close again", within)
        ended = msgspec.structs.replace(closed, run_status="completed", result=card.text)
        await _called(channel.close(ref, ended), "close at the run's end", within)


def _demand(holds: bool, otherwise: str) -> None:  # noqa: FBT001
    if not holds:
        raise AssertionError(otherwise)


async def _called(call: Coroutine[Any, Any, Any], what: str, within: float) -> Any:
    task = asyncio.ensure_future(call)
    await asyncio.wait({task}, timeout=within)
    if not task.done():
        task.cancel()
        raise AssertionError(f"{what} took longer than {within:g} s")
    try:
        return task.result()
    except ChannelError as error:
        why = f"failed: {error}" if not _SECRET.search(str(error)) else "has a secret in its error"
    except Exception as error:  # noqa: BLE001  whatever it is, it breaks a rule
        why = f"raised {type(error).__name__}: {error}; raise ChannelError or Undeliverable"
    raise AssertionError(f"{what} {why}")


def _closed(card: Card) -> Card:
    return msgspec.structs.replace(
        card,
        status="answered",
        outcome=f"ada answered: {card.text}"[:2_000],
        by="ada",
        closed_at=card.asked_at + 60,
        answer_with=(),
    )


def _cards(channel: str) -> list[Card]:
    """An ordinary card, one of each kind, and one with each hostile text in every field."""
    plain = example_card(key=f"q1.developer.{channel}.first", question="q1")
    call = example_card(
        key=f"q2.finance.{channel}.first",
        question="q2",
        role="finance",
        text="May Clerk call refund(order='A1', cents=900)?",
        tool="refund",
        arguments='{"order": "A1", "cents": 900}',
        digest="5f1d0c2a9b34",
        needed="decided by 2 of finance",
        form={"type": "object", "properties": {"why": {"type": "string"}}},
    )
    reminder = example_card(
        key=f"q1.developer.{channel}.0", question="q1", kind="reminder", number=1, first="gone"
    )
    hostile = [
        example_card(
            key=f"h{number}.developer.{channel}.first",
            question=f"h{number}",
            ticket=text[:200],
            agent=text[:500],
            text=text,
            context=text,
            choices=("yes", text[:60]),
            form={"enum": ["yes", text[:60]], "description": text[:500]},
            to=f"person:{text[:40]}",
            told=(text[:60],),
            silence=text[:200],
        )
        for number, text in enumerate(_HOSTILE)
    ]
    return [plain, call, reminder, *hostile]
