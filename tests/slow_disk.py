"""A disk that a worker takes for slow, so that it stores messages in batches wherever it can."""

from __future__ import annotations

import os

from layby.bus import group_commit
from layby.bus.disk_pace import DiskPace
from layby.bus.group_commit import GroupCommit
from layby.bus.outbox import Outbox
from layby.bus.requests import Requests
from tests.chaos.replacing import replace


class SlowDisk(DiskPace):
    """As slow as it gets: two messages are worth a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.is_slow = True

    def note_single(self, sent: float, now: float, behind: int) -> None:
        """Stay slow."""

    @property
    def worth(self) -> int:
        return 2

    def is_stale(self, now: float) -> bool:
        del now
        return False


def pretend() -> None:
    """Let this process store in batches from now on."""
    os.environ[group_commit.SETTING] = "1"
    replace(group_commit, "DiskPace", lambda _: SlowDisk)


class SlowOutbox(Outbox):
    """An outbox that stores in batches wherever it can, whatever the environment says."""

    def __init__(self, requests: Requests) -> None:
        super().__init__(requests)
        self._is_on = True
        self.groups: dict[str, GroupCommit] = self._groups
        """By stream: what stores in it."""

    def _learn(self, family: str, stream: str) -> None:
        super()._learn(family, stream)
        group = self._groups[stream]
        if not isinstance(group.pace, SlowDisk):
            group.pace = SlowDisk()
            group._is_on = True  # pyright: ignore[reportPrivateUsage]
