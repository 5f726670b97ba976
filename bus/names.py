"""The names of what Layby creates on a server: one set for each app, told apart by a prefix."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from .errors import InvalidSettings

OWN_WORDS: Final = frozenset({"to", "timer", "due", "rung", "dead", "blob", "layby"})
"""First words of Layby's own subjects: no event, no role and no prefix may have them."""
EVENTS: Final = "EVENTS"
"""Layby's name for the stream of events, whose subjects are the users' own."""
_PREFIX: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_TAKEN: Final = OWN_WORDS | {"kv", "obj", "events"}
_BUCKET: Final = "KV_"
_OWN_STREAM: Final = re.compile(
    r"RUNS(_[0-9a-f])?|QUESTIONS|ANSWERS|TIMERS|DEAD|BLOBS|THREADS|AUDIT"
)


class Names(msgspec.Struct, frozen=True):
    """Formats and parses the names of one app; without a prefix they stay as they are.

    The prefix `shop` makes the stream `SHOP_RUNS`, the bucket `SHOP_parked` and the subject
    `shop.developer.question.T1`. Subjects of events are the users' own, and never have it.

    Raises:
        InvalidSettings: the prefix cannot be one.
    """

    prefix: str = ""

    def __post_init__(self) -> None:
        if not self.prefix:
            return
        if not _PREFIX.fullmatch(self.prefix):
            raise InvalidSettings(
                f"{self.prefix!r} cannot be a prefix: use a lower-case letter, then at most 31 "
                "lower-case letters, digits, - and _"
            )
        if self.prefix in _TAKEN:
            raise InvalidSettings(
                f"{self.prefix!r} cannot be a prefix: names that begin with it have a meaning "
                "already; choose another word"
            )

    def stream(self, name: str) -> str:
        """The stream that Layby calls `name`, `RUNS` for instance."""
        return f"{self.prefix.upper()}_{name}" if self.prefix else name

    def bucket(self, name: str) -> str:
        """The key-value bucket that Layby calls `name`, `parked` for instance."""
        return self.stream(name)

    def bucket_stream(self, name: str) -> str:
        """The stream behind the bucket that Layby calls `name`."""
        return f"{_BUCKET}{self.bucket(name)}"

    def keys(self, bucket: str, key: str) -> str:
        """The subject of a key, or of keys with wildcards, in Layby's bucket of that name."""
        return f"$KV.{self.bucket(bucket)}.{key}"

    def subject(self, own: str) -> str:
        """The subject, or filter, that Layby calls `own`, `to.*.agent-anna.>` for instance."""
        return f"{self.prefix}.{own}" if self.prefix else own

    def own(self, subject: str) -> str:
        """The reverse of `subject`: the name without the prefix. Other subjects are unchanged."""
        return subject.removeprefix(f"{self.prefix}.") if self.prefix else subject

    def reserved(self, subject: str) -> str:
        """Who owns a subject on which no event may be sent, by its first word; empty: nobody.

        The subjects of questions and answers begin with a role, which only the app knows.
        """
        own = self.own(subject)
        if subject.startswith("$"):
            return "the server's own"
        if own.startswith("_"):
            return "an inbox, where replies go"
        return "Layby's own" if own.partition(".")[0] in OWN_WORDS else ""

    def owns_stream(self, name: str) -> bool:
        """Whether a stream is one of Layby's own, other than that of events."""
        own = name.removeprefix(f"{self.prefix.upper()}_") if self.prefix else name
        return bool(_OWN_STREAM.fullmatch(own)) or name.startswith(_BUCKET)

    def guest(self, consumer: str) -> str:
        """The name of a consumer in a stream that somebody else made, or that several apps read."""
        return f"{self.prefix or 'layby'}-{consumer}"
