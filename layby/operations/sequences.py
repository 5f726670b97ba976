"""Keeps a takeover from giving out the sequences of lost messages again.

A mirror may lack the last events, answers and questions of its source, and logs may refer to these
by their sequence. A new message with the same one would be taken for the lost one, or for one that
was there before it. So sequences are left out, up to the last that a log names and some more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from ..app import App
from ..bus.errors import BusError
from ..bus.inventory import is_log, own_streams
from ..bus.log import Log
from ..bus.log_subject import NoPosition, parse
from ..bus.names import EVENTS
from ..bus.opened import opened
from ..bus.reading import every
from ..bus.requests import Requests
from ..bus.settings import ConnectionSettings
from ..runtime.card_records import Notified
from ..runtime.entry import Arrived, Record, Started
from ..runtime.envelope import read

_ANSWERS: Final = "ANSWERS"
_QUESTIONS: Final = "QUESTIONS"
_MORE: Final = 1_000
"""Further sequences that are left out: the sender of a lost message may know its sequence."""
_BEFORE: Final = 86_400.0
"""Seconds before the end of the logs that are read: mirrors follow together, over one link."""
_SKEW: Final = 120.0
"""Seconds by which the clocks of the first cluster's servers may differ."""
_PER_SUBJECT: Final = 500
"""Messages on one subject: ANSWERS takes no more than some of each."""
WORD: Final = "layby.skipped"
"""What the subjects of filler messages begin with."""
_QUICK: Final = 10.0


async def leave_out_lost(
    apps: Sequence[App], settings: ConnectionSettings, requests: Requests
) -> None:
    """Leave out the sequences of messages that may be lost. Repeatable. Raises BusError.

    Entries that cannot be read, because their key is not here, are passed over.
    """
    infos = {info["config"]["name"]: info for info in await own_streams(requests)}
    names = [requests.names.stream(each) for each in (EVENTS, _ANSWERS, _QUESTIONS)]
    streams = {name: infos[name] for name in names if name in infos}
    logs = [info for name, info in infos.items() if is_log(name, requests.names)]
    ends = [_time(info["state"]["last_ts"]) for info in logs if info["state"]["last_seq"]]
    known = [_time(info["state"]["last_ts"]) for info in streams.values()]
    highest = dict.fromkeys(names, 0)
    if ends:
        since = max(min([*known, max(ends)]), max(ends) - _BEFORE) - _SKEW
        for app in apps:
            async with opened(settings, prefix=app.prefix, keyring=app.encryption) as bus:
                for info in logs:
                    stream = info["config"]["name"]
                    await _note_highest(app, bus.requests, stream, since, highest)
    for name, info in streams.items():
        await _leave_out(requests, info, highest[name])


def _time(text: str) -> float:
    return max(0.0, datetime.fromisoformat(text).timestamp())


async def _note_highest(
    app: App, requests: Requests, logs: str, since: float, highest: dict[str, int]
) -> None:
    """Note the highest sequences that the newest entries of logs name."""
    log, names = Log(requests), requests.names
    events, answers, questions = map(names.stream, (EVENTS, _ANSWERS, _QUESTIONS))
    async for message in every(requests, logs, names.subject("to.>"), since=since):
        subject = message.headers["Nats-Subject"]
        for record in await _records(log, subject, message.data):
            seq = getattr(record, "seq", 0)
            if isinstance(record, Started | Arrived):
                if _is_of_own(app, record, events):
                    highest[events] = max(highest[events], seq)
            else:
                stream = questions if isinstance(record, Notified) else answers
                highest[stream] = max(highest[stream], seq)


async def _records(log: Log, subject: str, data: bytes) -> Iterable[Record]:
    try:
        _, run, n = parse(subject)
        envelope = read(await log.opened(run, n, data, subject))
    except (BusError, NoPosition):
        return ()
    return () if envelope is None else envelope.records


def _is_of_own(app: App, record: Started | Arrived, events: str) -> bool:
    """Whether an event was in the stream that Layby keeps events in; others are not mirrored."""
    if isinstance(record, Started):
        return record.on in app.kept() and app.stream_of(record.on) == events
    return all(app.stream_of(subject) == events for subject in app.watched())


async def _leave_out(requests: Requests, info: dict[str, Any], highest: int) -> None:
    """Store filler messages until the next sequence is above `highest`."""
    config: dict[str, Any] = info["config"]
    stream, first = config["name"], int(info["state"]["last_seq"]) + 1
    word = requests.names.subject(f"{WORD}.{stream}")
    subjects = [each for each in config["subjects"] if each != f"{word}.*"]
    if f"{word}.*" not in config["subjects"]:
        body = {**config, "subjects": [*subjects, f"{word}.*"]}
        await requests.api(f"STREAM.UPDATE.{stream}", body, timeout=_QUICK)
    end = max(highest, first - 1) + _MORE
    for begin in range(first, end + 1, _PER_SUBJECT):
        left = range(begin, min(begin + _PER_SUBJECT, end + 1))
        await asyncio.gather(*(requests.store(f"{word}.{begin}", b"") for _ in left))
    body = {**config, "subjects": subjects}
    await requests.api(f"STREAM.UPDATE.{stream}", body, timeout=_QUICK)
