"""Seeded faults of group commit: what becomes of a batch is not what its callers are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from layby.bus.errors import BusError, Conflict, NotConnected, PublishUnconfirmed
from layby.bus.group_commit import GroupCommit
from layby.bus.outbox import Outbox
from layby.bus.requests import PubAck

from .. import slow_disk
from .replacing import replace


def _stored_after(*errors: type[Exception]) -> None:
    """Take a batch for stored that failed with one of `errors`."""

    def make(send: Any) -> Any:
        async def believed(self: GroupCommit, group: list[Any]) -> PubAck:
            try:
                ack: PubAck = await send(self, group)
            except errors:
                return PubAck(self.stream, len(group))
            return ack

        return believed

    slow_disk.pretend()
    replace(GroupCommit, "_send", make)


def group_commit_ignores_a_conflict() -> None:
    """Take a batch for stored that the server refused because of one of its messages."""
    _stored_after(Conflict)


def batch_acked_when_uncommitted() -> None:
    """Take a batch for stored whose acknowledgement never came."""
    _stored_after(PublishUnconfirmed, NotConnected)


def batch_holds_a_position_twice() -> None:
    """Send two entries for one position of a run in one batch."""

    def make(_: Any) -> Any:
        def all_of_them(self: Any, most: int) -> list[Any]:
            group, self._waiting = self._waiting[:most], self._waiting[most:]
            return [message for message in group if not message.stored.done()]

        return all_of_them

    slow_disk.pretend()
    replace(GroupCommit, "_take", make)


def outbox_mixes_streams() -> None:
    """Send what lies in several streams in one batch."""

    def make(learn: Any) -> Any:
        def one_for_all(self: Any, family: str, stream: str) -> None:
            learn(self, family, next(iter(self._groups), stream))

        return one_for_all

    replace(Outbox, "_learn", make)


def refused_batch_is_believed() -> None:
    """Take a batch for stored that the server refused, whatever for."""
    _stored_after(BusError)


FAULTS: tuple[tuple[Callable[[], None], tuple[str, ...], tuple[str, ...]], ...] = (
    (
        group_commit_ignores_a_conflict,
        ("race", "random_kills"),
        ("fence broken", "wrong end", "lost run", "stuck run", "unfoldable log"),
    ),
    (
        batch_acked_when_uncommitted,
        ("server_kills",),
        ("fence broken", "wrong end", "lost run", "stuck run", "unfoldable log"),
    ),
)
"""Each with the campaigns that should catch it, and as what. Tests catch the others:
`batch_holds_a_position_twice` needs two states of one run in one worker, and what is wrong with an
outbox is in the process of whoever sends."""
