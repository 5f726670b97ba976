"""A console that a stranger's text cannot give orders to, however it got into what is printed."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from ..runtime.terminal_text import safe


class SafeConsole(Console):
    """Shows what a terminal would obey or hide; what the console itself says to it stays.

    Widths are right where the text was made safe before: this is the wall behind that.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render as ever, then make each text safe."""
        for segment in super().render(renderable, options):
            if segment.control or (segment.text.isascii() and segment.text.isprintable()):
                yield segment
            else:
                yield Segment(safe(segment.text), segment.style)
