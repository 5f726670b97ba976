"""The text of models while it is generated, between the lines of a timeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .untrusted_text import one_line, safe

if TYPE_CHECKING:
    from rich.console import Console

    from ...views.rows import TimelineLine


class StreamedText:
    """Prints text as it arrives, on a terminal only: elsewhere the complete answer is enough."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._answer = ""

    @property
    def is_visible(self) -> bool:
        """Whether somebody can see it."""
        return self._console.is_terminal

    def delta(self, line: TimelineLine) -> None:
        """Print a piece of an answer; the first piece is preceded by its author."""
        answer = str(line.data["answer"])
        if answer != self._answer:
            self.end()
            self._answer = answer
            self._print(f"{one_line(line.actor)}: ", "bold")
        self._print(safe(line.detail), "dim")

    def end(self) -> None:
        """End the line of an answer, if there is one."""
        if self._answer:
            self._console.print()
        self._answer = ""

    def _print(self, text: str, style: str) -> None:
        from rich.text import Text

        self._console.print(Text(text, style=style), end="", soft_wrap=True)
