"""`python -m layby`: the `layby` command where no script is on PATH."""

from __future__ import annotations

from .cli import main

main()
