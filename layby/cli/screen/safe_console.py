"""A console that escapes control characters in everything it prints."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from ...runtime.untrusted_text import safe


class SafeConsole(Console):
    """Escapes what a terminal would act on or hide, except the console's own control codes.

    This is the last line of defence: widths are only right if the text was made safe before.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render as usual, then make each text safe."""
        for segment in super().render(renderable, options):
            if segment.control or (segment.text.isascii() and segment.text.isprintable()):
                yield segment
            else:
                yield Segment(safe(segment.text), segment.style)
