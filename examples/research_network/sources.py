"""The researchers' sources: a few notes, so that the example needs no network access."""

from __future__ import annotations

import re

from pydantic import BaseModel


class Finding(BaseModel):
    """A note that was found."""

    source: str
    text: str


_NEWS = [
    Finding(source="news/2026-03", text="A ferry operator ordered eight battery ferries."),
    Finding(source="news/2026-07", text="Ports of the region fund shore power for ferries."),
    Finding(source="news/2026-09", text="The city plans a night train to the coast."),
]
_PAPERS = [
    Finding(source="paper/kvist", text="Battery ferries halve the cost of energy under 30 km."),
    Finding(source="paper/osei", text="Fast charging wears ferry batteries out in nine years."),
]
_FIGURES = [
    Finding(source="figures/fleet", text="14 of 212 ferries ran on batteries in 2025."),
    Finding(source="figures/trains", text="Trains carried 61 million passengers in 2025."),
]


def search(notes: list[Finding], query: str) -> list[Finding]:
    """The notes that share a word of at least four characters with `query`."""
    wanted = _words(query)
    return [note for note in notes if wanted & _words(note.text)]


def _words(text: str) -> set[str]:
    return {word.rstrip("s") for word in re.findall(r"[a-z]{4,}", text.lower())}


def news(query: str) -> list[Finding]:
    """Search the news."""
    return search(_NEWS, query)


def papers(query: str) -> list[Finding]:
    """Search papers."""
    return search(_PAPERS, query)


def figures(query: str) -> list[Finding]:
    """Search statistics."""
    return search(_FIGURES, query)
