"""Stores what comes from outside of runs: events, and what people say to questions.

One process often does that for many: a server that turns web requests into events, or a bridge to
a chat. What they store in one stream at the same time is one write on a slow disk; see
`group_commit`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial
from typing import Final

from .bounded import Bounded
from .group_commit import GroupCommit, is_on
from .leader_wait import when_led
from .requests import PubAck, Requests

_KNOWN: Final = 1_024
"""Families of subjects whose stream is remembered."""


class Outbox:
    """Stores messages in streams that it need not know, and may not ask about."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._is_on = is_on()
        self._families: Bounded[str, GroupCommit] = Bounded(_KNOWN)
        """By family: the writer to the stream that has its subjects."""
        self._groups: dict[str, GroupCommit] = {}
        """By stream."""
        self._numbers = itertools.count(1)

    async def store(
        self,
        subject: str,
        data: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        family: str | None = None,
    ) -> PubAck:
        """Store a message, like `Requests.store`, and raise what that raises.

        While its stream has no leader, the message waits for one.

        `family` stands for `subject` and others of the same stream, a wildcard for instance; None:
        there is no such family.

        Raises:
            NoLeader: there was none for 15 seconds; nothing is stored.
        """
        once = partial(self._once, subject, data, headers or {}, family)
        return await when_led(self._requests, subject, once)

    async def _once(
        self, subject: str, data: bytes, headers: Mapping[str, str], family: str | None
    ) -> PubAck:
        if not self._is_on:
            return await self._requests.store(subject, data, headers)
        family = family or subject
        group = self._families.get(family)
        if group is None:
            ack = await self._requests.store(subject, data, headers)
            self._learn(family, ack.stream)
            return ack
        ack = await group.store(str(next(self._numbers)), subject, data, headers)
        if ack.stream != group.stream:
            self._learn(family, ack.stream)
        return ack

    def _learn(self, family: str, stream: str) -> None:
        """Remember that subjects of a family are in a stream: batches must not span two."""
        group = self._groups.get(stream)
        if group is None:
            group = self._groups[stream] = GroupCommit(self._requests, stream, asks=False)
        self._families.put(family, group, 1)
