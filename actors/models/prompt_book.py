"""The requests of one run: what the log holds of them, and how a new one is recorded. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from ...runtime.sent import Sent
from .marks import Marked, Marks, digest_of

_OPEN: Final = 32
"""Requests that the next one may continue."""


class Base(NamedTuple):
    """An earlier request."""

    id: str
    marks: Marks


class PromptBook:
    """Knows the marks of a run's requests, as its records say, and writes the next one.

    Of requests that continue one another it keeps only the last: a conversation costs memory in
    proportion to its length.
    """

    def __init__(self) -> None:
        self._read = 0
        self._known: set[str] = set()
        """Digests of the parts that the log has."""
        self._open: dict[str, Marks] = {}

    def catch_up(self, recorded: list[Sent]) -> None:
        """Read those records of the run that it has not read yet."""
        for sent in recorded[self._read :]:
            self.add(sent)
        self._read = len(recorded)

    def add(self, sent: Sent) -> None:
        """Read the next record."""
        self._known.update(digest_of(mark) for marks in sent.marks.values() for mark in marks)
        base = self._open.get(sent.base) if sent.base else {}
        if base is None:
            return  # another one continues it too
        marks = apply(sent, base)
        self._open.pop(sent.base, None)
        self._open[sent.id] = marks
        while len(self._open) > _OPEN:
            del self._open[next(iter(self._open))]

    def record(self, form: str, request: Marked) -> tuple[Sent, list[msgspec.Raw]]:
        """The record of a request, and the parts that it adds to the log."""
        base = self._closest(request.marks)
        kept: dict[str, int] = {}
        rest: Marks = {}
        for name, marks in request.marks.items():
            before = base.marks.get(name)
            if before == marks:
                continue
            if before is not None and (same := common(before, marks)):
                kept[name] = same
            rest[name] = marks[kept.get(name, 0) :]
        new = self._new(rest)
        sent = Sent(
            id=request.id,
            form=form,
            base=base.id,
            gone=[name for name in base.marks if name not in request.marks],
            kept=kept,
            marks=rest,
        )
        return sent, [request.parts[digest] for digest in new]

    def _closest(self, marks: Marks) -> Base:
        """The earlier request that has most in common with `marks`; the newest of several."""
        best, most = Base("", {}), 0
        for each_id, known in self._open.items():
            shared = sum(common(known[name], each) for name, each in marks.items() if name in known)
            if shared and shared >= most:
                best, most = Base(each_id, known), shared
        return best

    def _new(self, marks: Marks) -> list[str]:
        """The digests that no record had before, in the order of their marks."""
        found = dict.fromkeys(digest_of(mark) for each in marks.values() for mark in each)
        return [digest for digest in found if digest not in self._known]


def apply(sent: Sent, base: Marks) -> Marks:
    """The marks of a request, given those of its base."""
    marks = {
        name: each
        for name, each in base.items()
        if name not in sent.gone and name not in sent.marks
    }
    for name, rest in sent.marks.items():
        marks[name] = [*base.get(name, ())[: sent.kept.get(name, 0)], *rest]
    return marks


def common(one: list[str], other: list[str]) -> int:
    """How many marks both begin with."""
    if one == other:
        return len(one)
    same = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        same += 1
    return same
