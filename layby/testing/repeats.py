"""Warns of tools that do something twice because they wait."""

from __future__ import annotations

import warnings


class RunsAgain(UserWarning):
    """A tool that waits did something twice, because it is entered again from its start."""


def warn_of(repeated: set[str]) -> None:
    """Warn of these tools. Raises RunsAgain where that warning is an error."""
    for name in sorted(repeated):
        warnings.warn(
            f"tool {name!r} did something before its first step, and did it again when what it "
            "waited for had come: put what must happen once into ctx.step.run(...)",
            RunsAgain,
            stacklevel=3,
        )
