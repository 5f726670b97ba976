"""Three researchers, each with a source of its own, a writer and a critic."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from layby import Agent, AgentContext, tool

from . import sources
from .sources import Finding

Query = Annotated[str, "A few words to search for"]


class Verdict(BaseModel):
    """The critic's judgement of a report."""

    ok: bool
    missing: str = Field(default="", description="What the writer must add, in one sentence")


@tool
def search_news(query: Query) -> list[Finding]:
    """Search the news."""
    return sources.news(query)


@tool
def search_papers(query: Query) -> list[Finding]:
    """Search scientific papers."""
    return sources.papers(query)


@tool
def search_figures(query: Query) -> list[Finding]:
    """Search statistics."""
    return sources.figures(query)


def _research(ctx: AgentContext[Any]) -> str:
    return (
        f"You are {ctx.agent}. Search your source for the question, then report in one paragraph "
        "what it holds. Name the source of each statement. Say so when there is nothing."
    )


# They see only the question, not each other's work, because they run at the same time.
news_desk = Agent("News desk", system=_research, tools=[search_news], history="own")
library = Agent("Library", system=_research, tools=[search_papers], history="own")
statistics = Agent("Statistics", system=_research, tools=[search_figures], history="own")

writer = Agent(
    "Writer",
    system=(
        "Write a report of three sentences from what the researchers found. Every statement names "
        "its source in brackets. When the critic says what is missing, write it anew."
    ),
)
critic = Agent(
    "Critic",
    system="Judge the newest report: is every statement backed by a source that was found?",
    output_type=Verdict,
)
