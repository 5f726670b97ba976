"""Mirrors of streams in another cluster, and streams made from them once that cluster is lost.

A mirror keeps the configuration of its source in its metadata, so that it needs nobody else to
become a stream like it.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .errors import TopologyMismatch
from .ownership import being_taken_over, without_server

_SOURCE: Final = "layby.source"
"""Metadata of a mirror: the configuration of its source."""
_SAME: Final = (
    "name",
    "storage",
    "compression",
    "max_msgs_per_subject",
    "max_age",
    "max_msg_size",
    "allow_direct",
    "allow_msg_ttl",
    "duplicate_window",
)
"""The settings that a mirror shares with its source."""


def can_be_mirrored(source: dict[str, Any]) -> bool:
    """Whether a stream can be mirrored: not if its messages are removed once they are handled."""
    return bool(source.get("retention", "limits") == "limits")


def mirror_of(source: dict[str, Any], api: str, replicas: int) -> dict[str, Any]:
    """The configuration of a mirror; `api` is the prefix of its source's API subjects."""
    own = without_server(source.get("metadata"))
    noted = {**source, "metadata": own}
    return {
        **{key: source[key] for key in _SAME if key in source},
        "num_replicas": replicas,
        "mirror": {"name": source["name"], "external": {"api": api, "deliver": ""}},
        "mirror_direct": bool(source.get("allow_direct")),
        "metadata": {**own, _SOURCE: msgspec.json.encode(noted).decode()},
    }


def is_mirror(config: dict[str, Any]) -> bool:
    """Whether a stream is a mirror of one of Layby's in another cluster."""
    return bool(config.get("mirror")) and _SOURCE in (config.get("metadata") or {})


def promoted(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of the stream that a mirror becomes, with the mark that keeps workers away.

    Raises:
        TopologyMismatch: the mirror does not say what it is a mirror of.
    """
    try:
        source = msgspec.json.decode(config["metadata"][_SOURCE], type=dict[str, Any])
    except (KeyError, msgspec.MsgspecError):
        raise TopologyMismatch(
            f"stream {config['name']} does not note the configuration of its source: it was not "
            "made by `layby standby follow`"
        ) from None
    return being_taken_over(
        {**source, "name": config["name"], "num_replicas": config["num_replicas"]},
        config["mirror"]["external"]["api"],
    )
