"""Asks a model within a span, whose trace the provider's request continues."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final

from ...runtime import tracing
from ...runtime.tracing import UNTRACED, Tracer
from .model import Model, ModelRequest, ModelResponse, OnText

_has_span: Final = ContextVar("has_span", default=False)


async def ask(
    tracer: Tracer, model: Model, request: ModelRequest, on_text: OnText | None
) -> ModelResponse:
    """The model's response to a request. Raises ModelError."""
    if tracer is UNTRACED:
        return await model.respond(request, on_text)
    has_span = _has_span.set(True)
    try:
        with tracer.work("model", model.name, model=model, request=request) as span:
            response = await model.respond(request, on_text)
            span.note(response)
            return response
    finally:
        _has_span.reset(has_span)


def has_span() -> bool:
    """Whether the present request has a span, so that an SDK must not make another one."""
    return _has_span.get()


def continued(fields: dict[str, Any]) -> dict[str, Any]:
    """The arguments of an SDK's request, with headers that continue the present trace."""
    headers = tracing.headers()
    if not headers:
        return fields
    return {**fields, "extra_headers": {**headers, **(fields.get("extra_headers") or {})}}
