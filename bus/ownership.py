"""Who owns a stream: the mark of those that Layby creates, and the demands on others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from .errors import TopologyMismatch
from .names import Names
from .specs import SourceSpec, StreamSpec
from .token import encode

_FORM: Final = "1"
MARK: Final = "layby"
"""Metadata of everything that Layby creates."""
_PREFIX: Final = "layby.prefix"
_APP: Final = "layby.app"
_NOTE: Final = "layby.subjects."
"""Prefix of the metadata keys under which a stream notes the subjects declared by each app."""
_RESTORING: Final = "layby.restoring"
"""Metadata of a stream until all of its backup is restored, or all of a takeover is done."""
_TAKEOVER: Final = "take-over "
"""The start of that mark in a takeover; what is mirrored follows."""
_TO_GO: Final = "replace"
"""That mark on an existing stream that one from the backup is about to replace."""
_OF_SERVER: Final = "_nats."
"""Prefix of the metadata keys of the server."""
_UNMARKED: Final = {
    "retention": "limits",
    "discard": "old",
    "storage": "file",
    "compression": "s2",
}
"""The settings with which an earlier Layby, which left no mark, created streams by default.

Ages and sizes are not compared, because the operator may change them."""
_FLAGS: Final = (
    "allow_direct",
    "allow_rollup_hdrs",
    "allow_msg_ttl",
    "allow_msg_schedules",
    "deny_delete",
    "deny_purge",
    "discard_new_per_subject",
)


def mark(names: Names) -> dict[str, str]:
    """The metadata of everything created for the app with these names."""
    return {MARK: _FORM, **({_PREFIX: names.prefix} if names.prefix else {})}


def consumer_mark(names: Names, app: str) -> dict[str, str]:
    """The metadata of a consumer of one app."""
    return {**mark(names), **({_APP: app} if app else {})}


def is_of_app(found: dict[str, Any], names: Names, app: str) -> bool:
    """Whether a consumer was created for this app; older ones do not say for which."""
    held: dict[str, str] = found.get("metadata") or {}
    return bool(app) and is_marked(found, names) and held.get(_APP) == app


def note(app: str, subjects: Iterable[str]) -> dict[str, str]:
    """The metadata of a stream that says which of its subjects an app has declared."""
    return {_NOTE + encode(app): " ".join(dict.fromkeys(subjects))} if app else {}


def noted(found: dict[str, Any]) -> dict[str, list[str]]:
    """The subjects of a stream that apps have declared, by the key of their note."""
    held: dict[str, str] = found.get("metadata") or {}
    return {key: text.split(" ") for key, text in held.items() if key.startswith(_NOTE)}


def noted_for(found: dict[str, Any], app: str) -> list[str]:
    """The subjects of a stream that one app has declared."""
    return noted(found).get(_NOTE + encode(app), []) if app else []


def is_marked(found: dict[str, Any], names: Names) -> bool:
    """Whether a stream or consumer was created for the app with these names."""
    metadata: dict[str, str] = found.get("metadata") or {}
    return MARK in metadata and metadata.get(_PREFIX, "") == names.prefix


def is_anothers(found: dict[str, Any], names: Names) -> bool:
    """Whether a stream or consumer was created for an app other than the one with these names."""
    return MARK in (found.get("metadata") or {}) and not is_marked(found, names)


def being_restored(config: dict[str, Any], backup: str = _FORM) -> dict[str, Any]:
    """The configuration of a stream with a mark that keeps workers away.

    `backup`: the backup from which all of it was restored; left out until that is done.
    """
    return _marked(config, backup)


def to_be_replaced(config: dict[str, Any]) -> dict[str, Any]:
    """The same for an existing stream that one from a backup is about to replace."""
    return _marked(config, _TO_GO)


def being_taken_over(config: dict[str, Any], api: str) -> dict[str, Any]:
    """The same in a takeover; `api` is the prefix of the other cluster's API subjects."""
    return _marked(config, _TAKEOVER + api)


def _marked(config: dict[str, Any], value: str) -> dict[str, Any]:
    return {**config, "metadata": {**(config.get("metadata") or {}), _RESTORING: value}}


def without_server(metadata: dict[str, str] | None) -> dict[str, str]:
    """Metadata without what the server adds by itself, and takes from nobody."""
    return {key: text for key, text in (metadata or {}).items() if not key.startswith(_OF_SERVER)}


def restored(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a stream without either mark."""
    metadata: dict[str, str] = config.get("metadata") or {}
    kept = {key: text for key, text in metadata.items() if key != _RESTORING}
    return {**config, "metadata": kept}


def is_being_restored(config: dict[str, Any]) -> bool:
    """Whether a stream belongs to an unfinished restore, or is about to be replaced by one."""
    return bool(_mark_of(config)) and not taken_over_from(config)


def restored_of(config: dict[str, Any]) -> str:
    """What a stream was restored from while other streams are missing; empty: it was not."""
    held = _mark_of(config)
    return held if is_being_restored(config) and held != _TO_GO else ""


def taken_over_from(config: dict[str, Any]) -> str:
    """The API of the cluster from which a stream is being taken over; empty: it is not."""
    held = _mark_of(config)
    return held.removeprefix(_TAKEOVER) if held.startswith(_TAKEOVER) else ""


def _mark_of(config: dict[str, Any]) -> str:
    metadata: dict[str, str] = config.get("metadata") or {}
    return metadata.get(_RESTORING, "")


def was_made_before(spec: StreamSpec, found: dict[str, Any]) -> bool:
    """Whether an earlier Layby, which left no mark, created the stream of `spec`."""
    metadata: dict[str, str] = found.get("metadata") or {}
    if MARK in metadata:
        return False
    config, held = spec.config, set(map(_shape, found.get("subjects") or []))
    if not held <= set(map(_shape, spec.subjects)):
        return False
    if any(found.get(key, False) != config.get(key, False) for key in _FLAGS):
        return False
    return all(found.get(key, value) == config.get(key, value) for key, value in _UNMARKED.items())


def _shape(subject: str) -> str:
    """The wildcards of a subject, which are the same for all subjects of one stream of Layby's.

    `developer.question.*` and `legal.question.*` are alike; the subject of an event has none.
    """
    return "".join(word for word in subject.split(".") if word in ("*", ">")) or "none"


def not_created_by_layby(name: str, found: dict[str, Any]) -> TopologyMismatch:
    """Why a stream with the name of one of Layby's is not changed."""
    held = ", ".join(found.get("subjects") or ["nothing"])
    return TopologyMismatch(
        f"stream {name} ({held}) was not created by Layby, so it is not changed: give the app "
        "names of its own with App(prefix=...), and read events of that stream with "
        f'@app.workflow(on=..., stream="{name}"). If it is a stream of Layby whose settings were '
        f"edited: nats stream edit {name} --metadata {MARK}={_FORM}"
    )


def check_source(spec: SourceSpec, found: dict[str, Any]) -> None:
    """Refuse to read events from a stream that would lose them, or does not have them."""
    if found.get("retention", "limits") != "limits":
        raise TopologyMismatch(
            f"stream {spec.stream} has {found['retention']} retention, which removes events once "
            f"they are read: events on {spec.subject!r} need a stream with `limits` retention; "
            "source them into one"
        )
    held: list[str] = found.get("subjects") or []
    if not any(covers(pattern, spec.subject) for pattern in held):
        raise TopologyMismatch(
            f"stream {spec.stream} keeps no events on {spec.subject!r}: it holds "
            f"{', '.join(held) or 'no subjects of its own'}; correct the stream or the subject"
        )
    if spec.awaited and not found.get("allow_direct", False):
        raise TopologyMismatch(
            f"runs wait for events on {spec.subject!r}, and stream {spec.stream} does not allow "
            f"direct get, which Layby reads with: nats stream edit {spec.stream} --allow-direct"
        )


def covers(pattern: str, subject: str) -> bool:
    """Whether a stream's subject, which may have wildcards, includes another subject."""
    wanted, given = pattern.split("."), subject.split(".")
    for at, word in enumerate(wanted):
        if word == ">":
            return len(given) > at
        if at >= len(given) or word not in ("*", given[at]):
            return False
    return len(wanted) == len(given)
