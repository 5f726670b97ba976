"""The order in which the streams of an app are saved: docs/disaster.md says why."""

from __future__ import annotations

import pytest

from layby.bus.layout import bucket, erasable, streams
from layby.bus.names import Names
from layby.bus.threads import stream as threads
from layby.operations.backing_up import order

EXPECTED = (
    ("AUDIT",),
    ("TIMERS",),
    ("QUESTIONS",),
    (
        "DEAD",
        *(f"KV_{n}" for n in ("apps", "blocked", "parked", "questions", "rota", "runs", "waits")),
    ),
    ("RUNS", "RUNS_4", "RUNS_8", "RUNS_c"),
    ("BLOBS",),
    ("KV_keys",),
    ("THREADS",),
    ("ANSWERS",),
    ("EVENTS",),
)


@pytest.mark.parametrize("prefix", ["", "shop"])
def test_every_stream_has_its_place(prefix: str) -> None:
    names = Names(prefix)
    more = [threads(names), *(bucket(each, names) for each in ("waits", "rota"))]
    specs = [*streams(["a.b"], ["developer"], 4, names), *more, erasable("keys", names)]

    def plain(name: str) -> str:
        return name.replace("SHOP_", "") if prefix else name

    place = order(names)
    groups: dict[int, set[str]] = {}
    for name in sorted((spec.name for spec in specs), key=place):
        groups.setdefault(place(name)[0], set()).add(plain(name))
    assert list(groups.values()) == [set(group) for group in EXPECTED]
