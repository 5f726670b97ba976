"""A message of a run's log: records that are stored together, and how it is read.

A message is appended as a whole, so records that belong together, like a step's result and the
question that follows it, are stored together or not at all.
"""

from __future__ import annotations

from typing import Final, get_args

import msgspec

from .entry import Record


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One message of a log."""

    op: str
    """Names this append, so that its writer recognizes it after a lost acknowledgement."""
    at: float
    """When it was written, Unix seconds by the server's clock as the writer knows it."""
    cause: int = 0
    """The position whose handling wrote it; 0 for what came from outside the run."""
    trace: str = ""
    """The span in which it was written, see `trace_context`; empty: it is not traced."""
    records: list[Record]

    @property
    def writer(self) -> str:
        """Names the process that wrote it, for people to read; empty if it does not say."""
        return self.op.rpartition("-")[0]


UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Errors of a JSON decoder for data that it cannot read."""

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Envelope).decode
"""Read an entry. Raises one of UNREADABLE."""


def read(data: bytes) -> Envelope | None:
    """Read an entry; None: this release cannot read it.

    The fold skips it, so every worker arrives at the same state, and the next position is free.
    """
    try:
        return decode(data)
    except UNREADABLE:
        return None


class _Kind(msgspec.Struct):
    k: str


class _Outline(msgspec.Struct):
    """The fields of an envelope that every release writes."""

    op: str
    at: float
    records: list[_Kind]


_outline = msgspec.json.Decoder(_Outline).decode
_KINDS: Final = {each.__struct_config__.tag for each in get_args(Record)}


def is_newer(data: bytes) -> bool:
    """Whether an unreadable entry has records of a kind that a later release may know."""
    try:
        return any(record.k not in _KINDS for record in _outline(data).records)
    except UNREADABLE:
        return False
