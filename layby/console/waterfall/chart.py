"""The waterfall of one run as a person has chosen to see it: rows, columns and labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .geometry import Scale, Stretch, Tick, Wait, scale, ticks
from .look import BLOCK, Look
from .node import PEOPLE, Node, Part, every


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What is drawn.

    Attributes:
        look: What the person has chosen.
        root: The first row.
        rows: All rows that are not in a collapsed one, in order.
        scale: Where times are drawn.
        now: The present, or the end of the run; Unix seconds.
        running: Whether the run is not over.
    """

    look: Look
    root: Node
    rows: list[Node]
    scale: Scale
    now: float
    running: bool
    places: dict[str, int] = field(default_factory=dict[str, int])
    """The place of each row, by its id."""

    @property
    def blocks(self) -> int:
        """How many blocks the rows make."""
        return -(-len(self.rows) // BLOCK)

    def block(self, number: int) -> list[Node]:
        """The rows of a block, from 0."""
        return self.rows[number * BLOCK : (number + 1) * BLOCK]

    def block_of(self, row: str) -> int:
        """The block that has a row; 0 if it is not shown."""
        return self.places.get(row, 0) // BLOCK

    @property
    def whole(self) -> int:
        """The length of the run in milliseconds."""
        return max(1, round((self.now - self.root.start) * 1000))

    @property
    def ticks(self) -> list[Tick]:
        """The labels of the axis."""
        return ticks(self.scale)

    @property
    def knots(self) -> str:
        """The scale for the script: places in percent and milliseconds from the run's start."""
        pairs = zip(self.scale.places, self.scale.times, strict=True)
        return " ".join(f"{x:.3f}:{(at - self.root.start) * 1000:.0f}" for x, at in pairs)

    def seconds(self, node: Node) -> float:
        """How long a row took so far."""
        return max(0.0, (node.end if node.end is not None else self.now) - node.start)


def chart(root: Node, look: Look, now: float, *, running: bool, live: Iterable[Node] = ()) -> Chart:
    """The chart of a run whose first row is `root`; `live` are rows that have no record yet."""
    now = max(now, root.start)
    if not running:
        now = root.end if root.end is not None else now
    start, end = root.start, now
    zoomed = look.begin is not None and look.until is not None
    if look.begin is not None and look.until is not None:
        start, end = root.start + look.begin / 1000, root.start + look.until / 1000
        end = min(end, max(now, start + 0.001))
    busy, waits = _times(root, now)
    busy += [Stretch(each.start, now) for each in live]
    drawn = scale(
        Stretch(start, end),
        busy,
        waits,
        running=running and (not zoomed or end >= now),
        folded=not look.true_scale,
    )
    rows = [*every(root, look.shut, live)]
    places = {node.id: place for place, node in enumerate(rows)}
    return Chart(
        look=look, root=root, rows=rows, scale=drawn, now=now, running=running, places=places
    )


def _times(root: Node, now: float) -> tuple[list[Stretch], list[Wait]]:
    busy: list[Stretch] = []
    waits: list[Wait] = []
    for node in every(root):
        for part in node.parts:
            end = part.end if part.end is not None else now
            if part.fill in {"work", "failed"}:
                busy.append(Stretch(part.start, end))
            else:
                waits.append(Wait(_kind(node, part), part.start, end))
    return busy, waits


def _kind(node: Node, part: Part) -> str:
    if part.fill in PEOPLE:
        return "people"
    return node.kind if part.fill == "wait" else part.fill
