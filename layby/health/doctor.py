"""What is wrong with a server and the runs on it, and what to do about it."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Any

from ..bus.connection import Connection
from ..bus.dead import DeadLetter, read
from ..bus.errors import BusError, PermissionDenied, StreamMissing, TopologyMismatch
from ..bus.layout import streams
from ..bus.log import Log
from ..bus.log_subject import shares
from ..bus.names import EVENTS
from ..bus.ownership import is_marked
from ..bus.requests import Requests
from ..bus.specs import CARDS
from ..bus.verification import ends_server
from ..runtime import clock
from ..views.listing import newest_first
from ..views.open_questions import open_questions
from ..views.rows import Finding
from . import capacity as room
from . import keyring as safekeeping
from . import safety, unread
from .replicas import replicas

_OVERDUE = 60.0
"""Seconds past its deadline after which an open question counts as stuck."""
_RUNS = 10_000
"""Runs that are checked, those that changed last: the rest would take minutes."""
_STALE = 600.0
"""Seconds without a change after which a running run is worth a look."""
_SHOWN = 5
_UNSHOWN = (
    "Questions wait to be shown on a channel: start a worker, or `layby notify`, that has what it "
    "needs. The log line `channel.unavailable` of a worker says what it lacks."
)
_NO_JETSTREAM = 503


async def examine(connection: Connection, requests: Requests) -> list[Finding]:
    """Check everything; the findings are in the order in which to read them."""
    findings = [_server(connection), *safety.login(connection)]
    if connection.demands_login:
        findings += await safety.account(requests)
    try:
        account = await requests.api("INFO")
    except PermissionDenied as error:
        advice = "Log in as a user who may look at everything: `observer` in deploy/accounts.conf."
        return [
            *findings,
            Finding(level="error", subject="permissions", message=str(error), advice=advice),
        ]
    except BusError as error:
        advice = "Enable it in the server's configuration: jetstream { store_dir: ... }"
        return [
            *findings,
            Finding(level="error", subject="JetStream", message=str(error), advice=advice),
        ]
    try:
        logs = await Log(requests).streams()
    except StreamMissing:
        logs = 1
    except TopologyMismatch as error:
        return [*findings, Finding(level="error", subject="logs", message=str(error))]
    except BusError as error:
        return [*findings, _silent("RUNS", error)]
    sources = await _sources(requests, logs)
    found, whole = await _streams(requests, logs, own_events=not sources)
    findings += found
    if not whole:
        return findings
    findings += room.of_account(account)
    findings += safety.clocks(await clock.skew(requests))
    store = await safety.store(requests)
    findings += [*safety.syncing(store), *room.of_server(store)]
    own = [*([] if sources else [EVENTS]), *shares(logs), "ANSWERS", "TIMERS", "AUDIT", "QUESTIONS"]
    findings += await _consumers(requests, [*map(requests.names.stream, own)], sources)
    findings += await _questions(requests)
    findings += await _runs(requests)
    findings += await _dead(requests)
    findings += await safekeeping.keyring(requests)
    return findings


def _server(connection: Connection) -> Finding:
    version = connection.server_version
    where = connection.settings.shown
    return Finding(level="ok", subject="server", message=f"nats-server {version} at {where}")


async def _sources(requests: Requests, logs: int) -> list[str]:
    """The foreign streams that an app without a stream of events takes its events from."""
    with suppress(StreamMissing):
        await requests.api(f"STREAM.INFO.{requests.names.stream(EVENTS)}")
        return []
    with suppress(PermissionDenied):
        listed: list[str] = (await requests.api("STREAM.NAMES", {})).get("streams") or []
        others = [name for name in listed if name not in _wanted(requests, logs)]
        return [name for name in others if await _marked(requests, name)]
    return []


def _wanted(requests: Requests, logs: int) -> list[str]:
    return [spec.name for spec in streams(["x"], ["x"], logs, requests.names)]


async def _streams(
    requests: Requests, logs: int, *, own_events: bool
) -> tuple[list[Finding], bool]:
    """The findings about the streams, and whether all exist; `logs` of them hold logs."""
    shared = [requests.names.stream(name) for name in shares(logs)]
    events = requests.names.stream(EVENTS)
    wanted = [name for name in _wanted(requests, logs) if own_events or name != events]
    listed: dict[str, Any] = {}
    for name in wanted:
        try:
            listed[name] = await requests.api(f"STREAM.INFO.{name}")
        except StreamMissing:
            continue
        except BusError as error:
            return [_silent(name, error)], False
    missing = [name for name in wanted if name not in listed]
    if missing:
        return [
            Finding(
                level="error",
                subject="streams",
                message=f"missing: {', '.join(missing)}",
                advice="Run `layby provision APP`, or start a worker that may create them.",
            )
        ], False
    messages = sum(info["state"]["messages"] for info in listed.values())
    size = sum(info["state"]["bytes"] for info in listed.values())
    text = f"{len(wanted)} streams, {messages} messages, {size / 1e6:.1f} MB"
    findings = [
        Finding(level="ok", subject="streams", message=text),
        _logs({name: listed[name]["state"]["messages"] for name in shared}),
    ]
    findings += replicas(listed)
    findings += await room.of_streams(requests, listed)
    return findings, True


def _silent(name: str, error: BusError) -> Finding:
    return Finding(
        level="error",
        subject=name,
        message=f"nothing is known about this stream: {error}",
        advice="In a cluster more than half of the servers that hold a stream must run: "
        "`nats server report jetstream`. Else log in as a user who may look at everything.",
    )


def _logs(entries: dict[str, int]) -> Finding:
    each = ", ".join(f"{name} {count}" for name, count in entries.items())
    text = f"the logs of runs are in {len(entries)} stream{'s' if len(entries) > 1 else ''}: {each}"
    return Finding(level="ok", subject="logs", message=text)


async def _consumers(requests: Requests, own: list[str], sources: list[str]) -> list[Finding]:
    try:  # at once: while a server of a cluster is gone, each list takes seconds
        pages = await asyncio.gather(*(_listed(requests, name) for name in own))
    except BusError as error:
        advice = "Some may have no leader now: `nats server report jetstream`."
        return [Finding(level="error", subject="consumers", message=str(error), advice=advice)]
    consumers = [each for page in pages for each in page]
    for name in sources:
        consumers += await _marked(requests, name)
    findings = [finding for each in consumers for finding in _consumer(each)]
    for stream in {*sources, requests.names.stream(EVENTS)} & {*sources, *own}:
        state = (await requests.api(f"STREAM.INFO.{stream}"))["state"]
        lost = unread.gap(state, [each for each in consumers if each["stream_name"] == stream])
        findings += [unread.finding(stream, lost)] if lost else []
    return findings or [Finding(level="ok", subject="consumers", message="none is behind")]


async def _marked(requests: Requests, stream: str) -> list[dict[str, Any]]:
    """The consumers of this app on a stream that Layby did not create."""
    listed = await _listed(requests, stream)
    return [each for each in listed if is_marked(each["config"], requests.names)]


async def _listed(requests: Requests, stream: str) -> list[dict[str, Any]]:
    reply = await requests.api(f"CONSUMER.LIST.{stream}", {"offset": 0})
    consumers: list[dict[str, Any]] = reply.get("consumers") or []
    return consumers


def _consumer(info: dict[str, Any]) -> list[Finding]:
    name = f"{info['stream_name']}/{info['name']}"
    waiting, pending = info.get("num_waiting", 0), info.get("num_pending", 0)
    if ends_server(info["config"]):
        return [
            Finding(
                level="error",
                subject=name,
                message="it delivers headers only, and one malformed message can end nats-server",
                advice="Run `layby provision APP`, which changes consumers of an earlier Layby.",
            )
        ]
    if not info["config"].get("durable_name") or info["config"].get("ack_policy") == "none":
        return []  # it only looks ahead, and asks when there is reason to
    if pending and not waiting:
        return [
            Finding(
                level="warn",
                subject=name,
                message="1 message waits and no worker asks for it"
                if pending == 1
                else f"{pending} messages wait and no worker asks for them",
                advice=_UNSHOWN
                if info["name"].startswith(CARDS)
                else "Start a worker: layby worker APP.",
            )
        ]
    if info.get("num_redelivered", 0):
        return [
            Finding(
                level="warn",
                subject=name,
                message=f"{info['num_redelivered']} messages are being delivered again",
                advice="A worker died or a handler fails; its log says which.",
            )
        ]
    return []


async def _questions(requests: Requests) -> list[Finding]:
    now, waiting = clock.now(), 0
    overdue: list[str] = []
    for question in await open_questions(requests):
        waiting += 1
        if now - datetime.fromisoformat(question.deadline).timestamp() > _OVERDUE:
            overdue.append(f"{question.id} (run {question.run})")
    if overdue:
        return [
            Finding(
                level="error",
                subject="questions",
                message=f"{len(overdue)} past their deadline: {', '.join(overdue[:_SHOWN])}",
                advice="Start a worker; if one runs, look for its errors in its log.",
            )
        ]
    return [Finding(level="ok", subject="questions", message=f"{waiting} open, none overdue")]


async def _runs(requests: Requests) -> list[Finding]:
    counts: dict[str, int] = {}
    stale: list[str] = []
    blocked: dict[tuple[str, str], list[str]] = {}
    now = time.time()
    looked_at = 0
    async with aclosing(newest_first(requests)) as rows:
        async for row in rows:
            looked_at += 1
            if looked_at > _RUNS:
                break
            counts[row.status] = counts.get(row.status, 0) + 1
            age = now - datetime.fromisoformat(row.updated_at).timestamp()
            if row.status == "running" and age > _STALE:
                stale.append(row.id)
            if row.status == "blocked":
                blocked.setdefault((row.error, row.needs), []).append(row.id)
    text = ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "none yet"
    if looked_at > _RUNS:
        text += f" (of the {_RUNS:,} that changed last)"
    findings = [Finding(level="ok", subject="runs", message=text), *_blocked(blocked)]
    if stale:
        findings.append(
            Finding(
                level="warn",
                subject="runs",
                message=f"{len(stale)} unchanged for 10 min: {', '.join(stale[:_SHOWN])}",
                advice="`layby show RUN` shows where it is; is a worker running?",
            )
        )
    return findings


def _blocked(blocked: dict[tuple[str, str], list[str]]) -> list[Finding]:
    """The reasons for which runs are blocked, the most frequent first."""
    ranked = sorted(blocked.items(), key=lambda each: len(each[1]), reverse=True)
    return [
        Finding(
            level="error",
            subject="blocked runs",
            message=f"{len(runs)}: {reason}: {', '.join(runs[:_SHOWN])}",
            advice=f"{needs} `layby retry RUN` has one tried again at once.",
        )
        for (reason, needs), runs in ranked[:_SHOWN]
    ]


async def _dead(requests: Requests) -> list[Finding]:
    stream = requests.names.stream("DEAD")
    info = await requests.api(f"STREAM.INFO.{stream}")
    count = info["state"]["messages"]
    if not count:
        return [Finding(level="ok", subject="dead letters", message="none")]
    first = max(info["state"]["first_seq"], info["state"]["last_seq"] - _SHOWN + 1)
    body = {"seq": first, "batch": _SHOWN, "next_by_subj": requests.names.subject("dead.>")}
    newest = await requests.direct_get(stream, body)
    return [
        Finding(
            level="warn",
            subject="dead letters",
            message=f"{count} messages could not be handled; the newest follow",
            advice="`layby dead list` shows them; fix the cause, then `layby dead retry ID`.",
        ),
        *map(_letter, filter(None, (read(each.data) for each in newest if not each.status))),
    ]


def _letter(letter: DeadLetter) -> Finding:
    return Finding(
        level="warn",
        subject=f"{letter.subject} #{letter.seq}",
        message=letter.reason,
    )
