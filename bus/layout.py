"""The streams and buckets of an app: what must exist in JetStream before a worker runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from . import log_subject
from .names import EVENTS, Names
from .specs import BATCHES, StreamSpec
from .timers import HELD

_NANOS = 1_000_000_000
_PLAIN = Names()
_MIB = 1024 * 1024
SAID = ("response", "claim", "pass", "decline", "ask-back", "opened")
"""What people say to questions: the second word of the subjects."""
BUCKETS = ("parked", "runs", "questions", "blocked", "apps")
"""The buckets that every app has."""
_DAY = 86_400
_NO_DUPLICATES = {"duplicate_window": 100_000_000}
"""The shortest window that the server allows. In a longer one, somebody who knows a message id in
advance could have the real message dropped as a duplicate."""


def bucket(name: str, names: Names = _PLAIN) -> StreamSpec:
    """A key-value bucket safe against revived deletes: see `bucket.Bucket`."""
    return StreamSpec(
        name=names.bucket_stream(name),
        subjects=(names.keys(name, ">"),),
        config={
            "max_msgs_per_subject": 64,
            "allow_rollup_hdrs": True,
            "deny_delete": True,
            "allow_direct": True,
            "allow_msg_ttl": True,
            BATCHES: True,
            "discard": "new",
        },
    )


def erasable(name: str, names: Names = _PLAIN) -> StreamSpec:
    """A bucket in which single messages can be deleted, and overwritten on disk."""
    spec = bucket(name, names)
    return msgspec.structs.replace(spec, config={**spec.config, "deny_delete": False})


def streams(
    triggers: Iterable[str],
    roles: Iterable[str],
    log_streams: int = 1,
    names: Names = _PLAIN,
    shown: Collection[str] = (),
) -> tuple[StreamSpec, ...]:
    """The streams of an app with these trigger subjects and these roles of people.

    `shown`: the roles whose questions are shown on channels.
    """
    roles = tuple(roles)
    name, own = names.stream, names.subject
    # Only one stream of an account can store an advisory: that of the app without a prefix.
    advisories = () if names.prefix else ("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>",)
    hardened = {"deny_delete": True, "deny_purge": True, "discard": "new", **_NO_DUPLICATES}
    return (
        StreamSpec(
            name=name(EVENTS),
            subjects=tuple(dict.fromkeys(triggers)),
            config={"max_age": 30 * _DAY * _NANOS, "allow_direct": True},
            # A full stream refuses events with an error, and never drops an unread one.
            limits={"max_bytes": 4096 * _MIB, "discard": "new"},
            noted=True,
            outside=True,
        ),
        *(
            StreamSpec(
                name=name(share),
                subjects=tuple(map(own, subjects)),
                config={"allow_direct": True, BATCHES: True},
                exact=True,
            )
            for share, subjects in log_subject.shares(log_streams).items()
        ),
        StreamSpec(
            name=name("QUESTIONS"),
            subjects=tuple(
                own(f"{role}.{noun}.*")
                for role in roles
                for noun in ("question", "receipt", *(["notice"] if role in shown else []))
            ),
            config={"max_age": 90 * _DAY * _NANOS, "allow_direct": True, BATCHES: True},
            # Every answer gets a receipt, even an unwanted one: the oldest are dropped.
            limits={"max_bytes": 1024 * _MIB},
        ),
        StreamSpec(
            name=name("ANSWERS"),
            subjects=tuple(own(f"{role}.{noun}.>") for noun in SAID for role in roles),
            # Anyone may publish here: no rollup, schedule or TTL header works, nothing is removed.
            config={
                **hardened,
                "max_age": 7 * _DAY * _NANOS,
                "max_msg_size": 64 * 1024,
                "max_msgs_per_subject": 1_000,
                "discard_new_per_subject": True,
                "allow_direct": True,
            },
            limits={"max_bytes": 1024 * _MIB},
            outside=True,
        ),
        StreamSpec(
            name=name("TIMERS"),
            subjects=(
                *(own("timer.>"), own("due.>"), own("rung.>")),
                *([own(f"{HELD}.>")] if shown else []),
            ),
            # The server itself allows rollups in a stream with schedules.
            config={
                "retention": "workqueue",
                "allow_msg_schedules": True,
                "allow_rollup_hdrs": True,
                "allow_direct": True,
                BATCHES: True,
            },
        ),
        StreamSpec(
            name=name("DEAD"),
            subjects=(own("dead.>"), *advisories),
            config={"max_age": 90 * _DAY * _NANOS, "allow_direct": True},
            # Anyone who may send events may send bad ones: the oldest letters are dropped.
            limits={"max_bytes": 512 * _MIB},
        ),
        StreamSpec(name=name("BLOBS"), subjects=(own("blob.>"),), config={"allow_direct": True}),
        *(bucket(each, names) for each in BUCKETS),
        StreamSpec(
            name=name("AUDIT"),
            subjects=(own("layby.do.*.*"), own("layby.done.*.*")),
            # Commands are kept forever: no maximum age, and nothing removes a message.
            config={**hardened, "max_msg_size": 64 * 1024, "allow_direct": True},
        ),
    )
