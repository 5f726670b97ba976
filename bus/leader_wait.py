"""Waits out the elections of a cluster. A stream that is missing looks the same for a while.

Only the leader of a stream stores messages. Between two leaders the server answers "no responders",
as it does for a subject that no stream covers. The JetStream API knows the difference, but not
every login may ask it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

from .errors import BusError, NoLeader, PermissionDenied, StreamMissing

PATIENCE = 30.0
"""Seconds after which waiting for a leader is given up: several elections."""
_FOR_PEOPLE: Final = 15.0
"""The same if a person is waiting: an election takes up to 9."""
_PAUSE = 0.2
"""Seconds between two attempts: an election takes a few hundred milliseconds."""
_NO_JETSTREAM = 503

T = TypeVar("T")


class LeaderWait:
    """One wait for a leader, which begins with the first refusal."""

    def __init__(self, patience: float | None = None) -> None:
        """`patience`: seconds; None: half a minute."""
        self._patience = PATIENCE if patience is None else patience
        self._since: float | None = None

    def reset(self) -> None:
        """Start the wait again: there may have been a leader in the meantime."""
        self._since = None

    async def pause(self, refusal: BusError) -> None:
        """Let a moment pass after a refusal; raise it once it has lasted for too long."""
        now = asyncio.get_running_loop().time()
        if self._since is None:
            self._since = now
        if now - self._since > self._patience:
            raise refusal
        await asyncio.sleep(_PAUSE)


class _Api(Protocol):
    async def api(self, verb: str, body: Any = None) -> dict[str, Any]: ...


async def when_led(api: _Api, subject: str, store: Callable[[], Awaitable[T]]) -> T:
    """Store on a subject; while its stream has no leader, wait for one and store then.

    Args:
        api: Knows which stream covers the subject.
        subject: The subject.
        store: Stores once. It raises StreamMissing and NoLeader only if nothing was stored.

    Raises:
        NoLeader: There was none for 15 seconds; nothing is stored.
        StreamMissing: No stream covers the subject.
        BusError: Whatever else `store` raises.
    """
    wait = LeaderWait(_FOR_PEOPLE)
    reason: BusError | None = None
    while True:
        try:
            return await store()
        except NoLeader as error:
            await wait.pause(error)
        except StreamMissing as error:
            reason = reason or await _why_refused(api, subject, error)
            await wait.pause(reason)


async def _why_refused(api: _Api, subject: str, missing: StreamMissing) -> BusError:
    """Why no stream takes a message now. Raises `missing` if none covers its subject."""
    covering = "of its subject"
    try:
        reply = await api.api("STREAM.NAMES", {"subject": subject})
    except PermissionDenied:
        return missing  # a user who may only send may not ask
    except BusError as error:
        if error.code == _NO_JETSTREAM:
            raise missing from None
    else:
        streams: list[str] = reply.get("streams") or []
        if not streams:
            raise missing
        covering = streams[0]
    return NoLeader(
        f"the stream {covering} has no leader: too few of its servers run, or they have not chosen "
        "one yet. Nothing was stored: send it again in a moment"
    )
