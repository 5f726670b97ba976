"""Whether what is on the server will do, and why it will not, in words for its operator."""

from __future__ import annotations

from typing import Any

from . import log
from .errors import BusError, PermissionDenied, TopologyMismatch
from .names import EVENTS, Names
from .ownership import is_marked, stranger, was_made_before
from .specs import StreamSpec

_OVERLAP = 10065


def is_own(spec: StreamSpec, found: dict[str, Any], names: Names) -> bool:
    """Whether Layby created the stream that is there for `spec`, this release or an earlier one."""
    if is_marked(found, names):
        return True
    return not names.prefix and was_made_before(spec, found)


def taken(subject: str, spec: StreamSpec, holder: str, names: Names) -> TopologyMismatch:
    """Why a stream cannot have a subject: another has it, and a subject belongs to one stream."""
    if spec.name == names.stream(EVENTS):
        return TopologyMismatch(
            f"events on {subject!r} are in stream {holder} already, and a subject belongs to one "
            f'stream of an account: read them there, with @app.workflow(on=..., stream="{holder}") '
            f'or App(streams={{"{subject}": "{holder}"}})'
        )
    return TopologyMismatch(
        f"stream {spec.name} needs the subject {subject!r}, which another stream has: {holder}; "
        "give the app a prefix of its own with App(prefix=...), or rename that subject"
    )


def not_made(what: str, why: BusError) -> BusError:
    """Why something that does not exist cannot be created either."""
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


def examine(spec: StreamSpec, found: dict[str, Any], names: Names) -> None:
    """Refuse settings under which promises would not hold; sizes and ages are the owner's."""
    if spec.exact and set(found["subjects"]) != set(spec.subjects):
        raise _other_share(spec, found["subjects"], names)
    lacks = set(spec.subjects) - set(found["subjects"])
    if lacks and not is_own(spec, found, names):
        raise stranger(spec.name, found)
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
                f"{wanted!r}: it was made by somebody else; rename it or recreate it empty"
            )
    if not found.get("allow_direct", False):
        raise TopologyMismatch(
            f"stream {spec.name} does not allow direct get, which Layby reads with: "
            f"nats stream edit {spec.name} --allow-direct"
        )


def _other_share(spec: StreamSpec, held: list[str], names: Names) -> TopologyMismatch:
    there = log.count_of(held, names) if spec.name == names.stream(log.STREAM) else 0
    if not there:
        return TopologyMismatch(
            f"stream {spec.name} holds {', '.join(held)}, and Layby needs it to hold "
            f"{', '.join(spec.subjects)}: it was made or changed by somebody else; put that right, "
            "or remove it if it is empty"
        )
    asked = log.count_of(spec.subjects, names)
    shares = ", ".join(map(names.stream, log.shares(there)))
    return TopologyMismatch(
        f"the logs of runs are in {_streams(there)} here ({shares}), and the "
        f"app asks for {_streams(asked)}. The number is fixed once an account is provisioned: "
        f"declare App(log_streams={there}), or give the app an account of its own. Where no run is "
        "needed any more, stop all workers, remove those streams, and provision again"
    )


def _streams(count: int) -> str:
    return f"{count} stream{'s' if count > 1 else ''}"
