"""What models say while they say it, between the lines of a timeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .foreign import one_line, safe

if TYPE_CHECKING:
    from rich.console import Console

    from ..rows import TimelineLine


class Speech:
    """Prints text as it comes, on a terminal only: elsewhere the complete answer will do."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._answer = ""

    @property
    def heard(self) -> bool:
        """Whether anybody is there to see it."""
        return self._console.is_terminal

    def delta(self, line: TimelineLine) -> None:
        """Print a piece of an answer; the first of each names who speaks."""
        answer = str(line.data["answer"])
        if answer != self._answer:
            self.end()
            self._answer = answer
            self._print(f"{one_line(line.actor)}: ", "bold")
        self._print(safe(line.detail), "dim")

    def end(self) -> None:
        """Go to a new line, where an answer stands in this one."""
        if self._answer:
            self._console.print()
        self._answer = ""

    def _print(self, text: str, style: str) -> None:
        from rich.text import Text

        self._console.print(Text(text, style=style), end="", soft_wrap=True)
