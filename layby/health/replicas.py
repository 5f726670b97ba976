"""Copies of streams: how many there are, and whether each is up to date."""

from __future__ import annotations

from typing import Any, Final

from ..views.rows import Finding

_SHOWN: Final = 5
_SUBJECT: Final = "replicas"


def replicas(streams: dict[str, dict[str, Any]]) -> list[Finding]:
    """What is wrong with the copies; `streams` is the STREAM.INFO of each."""
    return [*_single(streams), *_behind(streams)]


def _single(streams: dict[str, dict[str, Any]]) -> list[Finding]:
    single = [name for name, info in streams.items() if info["config"].get("num_replicas", 1) == 1]
    if not single:
        return []
    clustered = any(_cluster(info).get("name") for info in streams.values())
    return [
        Finding(
            level="warn",
            subject=_SUBJECT,
            message=f"one copy only, which is lost with its disk: {', '.join(single)}",
            advice="Run `layby provision APP --replicas 3`."
            if clustered
            else "Back the server up, or run a cluster and provision with --replicas 3.",
        )
    ]


def _behind(streams: dict[str, dict[str, Any]]) -> list[Finding]:
    """Servers whose copies cannot be reached, and those whose copies are not up to date."""
    offline: dict[str, list[str]] = {}
    late: dict[str, list[str]] = {}
    for name, info in streams.items():
        if info["config"].get("num_replicas", 1) == 1:
            continue  # those that it had may still be listed
        for copy in _cluster(info).get("replicas") or ():
            server = str(copy.get("name", ""))
            if copy.get("offline"):
                offline.setdefault(server, []).append(name)
            elif not copy.get("current", True):
                late.setdefault(server, []).append(name)
    found = [_one(server, "is offline", names) for server, names in sorted(offline.items())]
    what = "is down, or still catching up"
    return [*found, *(_one(server, what, names) for server, names in sorted(late.items()))]


def _one(server: str, what: str, streams: list[str]) -> Finding:
    more = f" and {len(streams) - _SHOWN} more" if len(streams) > _SHOWN else ""
    return Finding(
        level="warn",
        subject=_SUBJECT,
        message=f"{server} {what}: until its copies are complete, the next server that fails may "
        f"stop {', '.join(streams[:_SHOWN])}{more}",
        advice="Start that server, or look at its log and disk: `nats server report jetstream`.",
    )


def _cluster(info: dict[str, Any]) -> dict[str, Any]:
    return info.get("cluster") or {}
