"""How much storage is left, and who uses it."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any

from ..bus.errors import BusError
from ..bus.layout import SAID
from ..bus.requests import Requests
from ..views.rows import Finding

_SCARCE, _FULL = 0.8, 0.97
"""The fractions of a limit that call for a warning, and for an error."""
_OUTSIDE = ("EVENTS", "ANSWERS")
"""Streams that outsiders fill."""
_MOST = 3


async def of_streams(requests: Requests, streams: dict[str, dict[str, Any]]) -> list[Finding]:
    """Which streams are nearly full, or have no limit although outsiders fill them."""
    outside = [requests.names.stream(name) for name in _OUTSIDE]
    findings: list[Finding] = []
    for name, info in streams.items():
        limit, used = info["config"].get("max_bytes", -1), info["state"]["bytes"]
        if limit > 0 and used >= _SCARCE * limit:
            who = await _most(requests, name) if name in outside else ""
            refuses = info["config"].get("discard") == "new"
            findings.append(_scarce(name, used, limit, who, refuses=refuses))
    boundless = [
        name for name in outside if name in streams and streams[name]["config"]["max_bytes"] <= 0
    ]
    if boundless:
        findings.append(
            Finding(
                level="warn",
                subject="limits",
                message=f"{', '.join(boundless)} without a byte limit: anybody who may send events "
                "or answers can fill the store, and then all runs stop",
                advice="Run `layby provision APP --limits`, or `nats stream edit --max-bytes`.",
            )
        )
    return findings


def _scarce(name: str, used: int, limit: int, who: str, *, refuses: bool) -> Finding:
    part = used / limit
    then = "then it refuses what is sent" if refuses else "then its oldest messages go"
    if refuses and part >= _FULL:
        then = "it refuses what is sent, with an error to the sender"
    flood = f" Most of it: {who}. If that is a flood, first take that login away." if who else ""
    return Finding(
        level="error" if refuses and part >= _FULL else "warn",
        subject=name,
        message=f"{part:.0%} of its {limit / 1e6:,.1f} MB are used: {then}",
        advice=f"Raise it: nats stream edit {name} --max-bytes SIZE.{flood}",
    )


async def _most(requests: Requests, stream: str) -> str:
    """Who sent most of the messages: by the name in what people say, by the subject of events."""
    counts: Counter[str] = Counter()
    with suppress(BusError):
        info = await requests.api(f"STREAM.INFO.{stream}", {"subjects_filter": ">"})
        subjects: dict[str, int] = info["state"].get("subjects") or {}
        for subject, count in subjects.items():
            counts[_sender(requests.names.own(subject))] += count
    return ", ".join(f"{count:,} of {sender}" for sender, count in counts.most_common(_MOST))


def _sender(subject: str) -> str:
    words = subject.split(".")
    if len(words) > 2 and words[1] in SAID:  # noqa: PLR2004
        return words[3] if len(words) > 3 else "nobody in particular"  # noqa: PLR2004
    return subject


def of_account(info: dict[str, Any]) -> list[Finding]:
    """Whether the account may store more; `info` is what the server reports about it."""
    tiers: dict[str, dict[str, Any]] = info.get("tiers") or {"": info}
    findings: list[Finding] = []
    for tier in tiers.values():
        limits: dict[str, Any] = tier.get("limits") or {}
        limit, used = int(limits.get("max_storage", -1)), int(tier.get("storage", 0))
        where = f"the {limit / 1e6:,.0f} MB that the account may store"
        findings += _filled(used, limit, where, "Raise the account's limit (max_file)")
    return findings


def of_server(store: dict[str, Any]) -> list[Finding]:
    """Whether the server may store more; `store` is what it reports to its system account."""
    if not store:
        return []
    limit = int(store["config"].get("max_storage", -1))
    stats: dict[str, Any] = store.get("stats") or {}
    used = int(stats.get("storage", 0))
    where = f"the {limit / 1e6:,.0f} MB that the server may store"
    if found := _filled(used, limit, where, "Give it a larger disk and max_file_store"):
        return found
    return [Finding(level="ok", subject="store", message=f"{used / 1e6:,.1f} MB of {where}")]


def _filled(used: int, limit: int, where: str, what: str) -> list[Finding]:
    if limit <= 0 or used < _SCARCE * limit:
        return []
    full = used >= _FULL * limit
    return [
        Finding(
            level="error" if full else "warn",
            subject="store",
            message=f"{used / limit:.0%} of {where} are used"
            f"{': nothing can be stored' if full else ''}",
            advice=f"{what}, or remove old runs: `layby purge --older-than 30d`.",
        )
    ]
