"""Whether an existing stream or consumer can be used; if not, why, in words for the operator."""

from __future__ import annotations

from typing import Any

from .errors import BusError, PermissionDenied, TopologyMismatch
from .log_subject import STREAM as LOGS
from .log_subject import count_of, shares
from .mirroring import is_mirror
from .names import EVENTS, Names
from .ownership import (
    is_being_restored,
    is_marked,
    not_created_by_layby,
    taken_over_from,
    was_made_before,
)
from .specs import ConsumerSpec, StreamSpec, filters_in

_OVERLAP = 10065


def is_own(spec: StreamSpec, found: dict[str, Any], names: Names) -> bool:
    """Whether Layby, in this release or an earlier one, created the stream of `spec`."""
    if is_marked(found, names):
        return True
    return not names.prefix and was_made_before(spec, found)


def taken(subject: str, spec: StreamSpec, holder: str, names: Names) -> TopologyMismatch:
    """Why a stream cannot have a subject: it belongs to another stream."""
    if spec.name == names.stream(EVENTS):
        return TopologyMismatch(
            f"events on {subject!r} are already in stream {holder}, and a subject belongs to one "
            f'stream of an account: read them there, with @app.workflow(on=..., stream="{holder}") '
            f'or App(streams={{"{subject}": "{holder}"}})'
        )
    return TopologyMismatch(
        f"stream {spec.name} needs the subject {subject!r}, which another stream has: {holder}; "
        "give the app a prefix of its own with App(prefix=...), or rename that subject"
    )


def left_behind(stream: str) -> TopologyMismatch:
    """Why a stream is not created in another account while it exists in this one."""
    return TopologyMismatch(
        f"stream {stream} is in the account of the other streams, but the server expects it in an "
        "account of its own: stop the server, and run `layby accounts move STORE`"
    )


def not_made(what: str, why: BusError) -> BusError:
    """Why something missing cannot be created."""
    if isinstance(why, PermissionDenied):
        return PermissionDenied(
            f"{what} does not exist, and this user may not create it: "
            "run `layby provision APP` as a user who may",
            subject=why.subject,
        )
    hint = (
        ": another stream has one of its subjects; rename one of the two"
        if why.code == _OVERLAP
        else ""
    )
    return TopologyMismatch(f"{what} cannot be created: {why}{hint}", code=why.code)


def reads_other(spec: ConsumerSpec, found: dict[str, Any], *, is_ours: bool) -> TopologyMismatch:
    """Why a consumer of another subject is not changed; `is_ours`: this app created it."""
    reads, wanted = ", ".join(filters_in(found)), ", ".join(spec.filters)
    what = f"consumer {spec.name!r} of stream {spec.stream} reads {reads!r}, not {wanted!r}"
    if is_ours:
        return TopologyMismatch(
            f"{what}: the workflow had a different `on` before. Stop the workers of that release, "
            "and run `layby provision APP --prune`"
        )
    return TopologyMismatch(
        f"{what}: two apps share a name, or the subject was changed; rename one, or, once nothing "
        f"is pending on it: nats consumer rm {spec.stream} {spec.name}"
    )


def ends_server(consumer: dict[str, Any]) -> bool:
    """Whether a malformed message can end the server through this consumer.

    nats-server 2.15.1 panics when it strips the body of a message whose header block is one byte.
    """
    return bool(consumer.get("headers_only"))


def check_ready(stream: str, found: dict[str, Any]) -> None:
    """Refuse a stream in which a worker must not work yet. Raises TopologyMismatch."""
    if is_being_restored(found):
        raise TopologyMismatch(
            f"stream {stream} is being restored, or that was interrupted: run `layby restore` "
            "to its end, and start again"
        )
    if taken_over_from(found):
        raise TopologyMismatch(
            f"stream {stream} is being taken over, or that was interrupted: run `layby standby "
            "take-over` to its end, and start again"
        )
    if is_mirror(found):
        raise TopologyMismatch(
            f"stream {stream} mirrors another cluster: if that is lost, run `layby standby "
            "take-over` first; else connect to that cluster"
        )


def examine(spec: StreamSpec, found: dict[str, Any], names: Names) -> None:
    """Refuse settings with which promises would not hold; the owner decides on sizes and ages."""
    if spec.exact and set(found["subjects"]) != set(spec.subjects):
        raise _other_share(spec, found["subjects"], names)
    missing = set(spec.subjects) - set(found["subjects"])
    if missing and not is_own(spec, found, names):
        raise not_created_by_layby(spec.name, found)
    for key in (
        "retention",
        "allow_rollup_hdrs",
        "allow_msg_schedules",
        "discard",
        "allow_msg_ttl",
    ):
        wanted = spec.config.get(key, {"retention": "limits", "discard": "old"}.get(key, False))
        if found.get(key, False) not in (wanted, spec.limits.get(key, wanted)):
            raise TopologyMismatch(
                f"stream {spec.name} has {key} = {found.get(key, False)!r}, and Layby needs "
                f"{wanted!r}: somebody else created it; rename it or recreate it empty"
            )
    if not found.get("allow_direct", False):
        raise TopologyMismatch(
            f"stream {spec.name} does not allow direct get, which Layby needs: "
            f"nats stream edit {spec.name} --allow-direct"
        )


def _other_share(spec: StreamSpec, held: list[str], names: Names) -> TopologyMismatch:
    there = count_of(held, names) if spec.name == names.stream(LOGS) else 0
    if not there:
        return TopologyMismatch(
            f"stream {spec.name} holds {', '.join(held)}, and Layby needs it to hold "
            f"{', '.join(spec.subjects)}: somebody else created or changed it; correct that, or "
            "remove it if it is empty"
        )
    asked = count_of(spec.subjects, names)
    streams = ", ".join(map(names.stream, shares(there)))
    return TopologyMismatch(
        f"the logs of runs are in {_streams(there)} here ({streams}), and the "
        f"app asks for {_streams(asked)}. The number is fixed once an account is provisioned: "
        f"declare App(log_streams={there}), or give the app an account of its own. If the runs are "
        "no longer needed, stop all workers, remove those streams, and provision again"
    )


def _streams(count: int) -> str:
    return f"{count} stream{'s' if count > 1 else ''}"
