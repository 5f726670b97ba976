"""The app: a question comes in, three researchers work at once, a writer and a critic finish it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from layby import Agent, App, Network, Route, Step

from .agents import Verdict, critic, library, news_desk, statistics, writer
from .models import default_model

DRAFTS = 3
"""How many drafts the writer may hand in."""


def route(route: Route[Any]) -> Agent | list[Agent] | None:
    """Researchers in parallel, then writer and critic in turn. Routing costs no tokens."""
    last = route.last
    if last is None:
        return [news_desk, library, statistics]
    if last.agent == writer.name:
        return critic
    drafts = sum(turn.agent == writer.name for turn in route.turns)
    accepted = isinstance(last.output, Verdict) and last.output.ok
    return None if accepted or drafts == DRAFTS else writer


research = Network(
    "research",
    agents=[news_desk, library, statistics, writer, critic],
    router=route,
    default_model=default_model(),
    max_turns=2 + 2 * DRAFTS,
)
app = App("research", networks=[research])


class ResearchRequested(BaseModel):
    """A question to research."""

    id: str
    question: str


class Report(BaseModel):
    """The answer to a question."""

    question: str
    text: str
    accepted: bool
    """Whether the critic accepted it."""
    tokens: int
    """Input and output tokens together."""


@app.workflow(on="research.requested", key="id")
async def answer_question(event: ResearchRequested, step: Step) -> Report:
    """Let the network work on a question."""
    result = await step.network(research, event.question)
    verdict = result.output
    drafts = [turn.text for turn in result.turns if turn.agent == writer.name]
    return Report(
        question=event.question,
        text=drafts[-1],
        accepted=isinstance(verdict, Verdict) and verdict.ok,
        tokens=result.usage.input_tokens + result.usage.output_tokens,
    )
