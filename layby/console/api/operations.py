"""Everything that the API can do: the routes and the OpenAPI document are made from this table."""

from __future__ import annotations

from typing import Final

from ..metrics import MEDIA
from . import feed, health, questions, runs
from .operation import EVENTS, Operation

OPERATIONS: Final = (
    Operation("GET", "/runs", runs.list_runs, "view"),
    Operation("GET", "/runs/{id}", runs.show_run, "view", (404,)),
    Operation("GET", "/runs/{id}/events", runs.run_events, "view", (204, 404), EVENTS),
    Operation("GET", "/runs/{id}/history", runs.run_history, "view", (404, 410)),
    Operation("GET", "/runs/{id}/prompts/{step:path}", runs.run_prompt, "view", (404, 410)),
    Operation("POST", "/runs/{id}/cancel", runs.cancel_run, "operate", (202, 404, 409)),
    Operation("POST", "/runs/{id}/retry", runs.retry_run, "operate", (202, 404, 409)),
    Operation("POST", "/events", health.send_event, "operate", (404, 413)),
    Operation("GET", "/questions", questions.list_questions, "session"),
    Operation("GET", "/questions/{id}", questions.show_question, "session", (404,)),
    Operation(
        "POST", "/questions/{id}/answer", questions.answer_question, "answer", (202, 404, 409)
    ),
    Operation("POST", "/questions/{id}/claim", questions.claim_question, "answer", (202, 404, 409)),
    Operation("POST", "/questions/{id}/pass", questions.pass_question, "answer", (202, 404, 409)),
    Operation(
        "POST", "/questions/{id}/decline", questions.decline_question, "answer", (202, 404, 409)
    ),
    Operation("POST", "/questions/{id}/ask-back", questions.ask_back, "answer", (202, 404, 409)),
    Operation("GET", "/stats", health.stats, "view"),
    Operation("GET", "/apps", health.list_apps, "view"),
    Operation("GET", "/workers", health.list_workers, "view"),
    Operation("GET", "/dead", health.list_dead, "view"),
    Operation("POST", "/dead/{seq}/retry", health.retry_dead, "operate", (202, 404, 409)),
    Operation("POST", "/dead/{seq}/drop", health.drop_dead, "operate", (202, 404, 409)),
    Operation("GET", "/doctor", health.doctor, "view"),
    Operation("GET", "/feed", feed.feed, "session", (), EVENTS),
    Operation("GET", "/metrics", health.metrics, "view", media=MEDIA),
    Operation("GET", "/healthz", health.healthz, "public"),
    Operation("GET", "/readyz", health.readyz, "public"),
)
