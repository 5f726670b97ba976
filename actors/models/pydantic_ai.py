"""Any model that pydantic-ai supports, as a `Model`: Gemini, Bedrock, Groq, Mistral and others."""

from __future__ import annotations

import importlib
from typing import Any

from ...bus.install import installing
from ...runtime.errors import InvalidSetup
from .http import cut, is_retryable, need_by_status
from .model import ModelError, ModelRequest, ModelResponse, OnText
from .pydantic_ai_wire import Wire

_TRANSIENT = {
    "ModelConnectionError",
    "ModelRateLimitError",
    "ModelRequestTimeout",
    "ModelServerError",
    "ModelUnavailableError",
}
_ELSEWHERE_PERHAPS = {
    "ModelAuthenticationError",
    "ModelContextWindowExceededError",
    "ModelNotFoundError",
}
_SHOWN = 500


def pydantic_ai(model: Any, *, settings: dict[str, Any] | None = None) -> PydanticAIModel:
    """A model of pydantic-ai: one of its `Model` objects, or a name such as `google:gemini-3-pro`.

    It needs the extra `pydantic-ai` and the packages of the provider. Give a model object whose
    client does not retry by itself: the run retries a failed request durably.

    Args:
        model: The `pydantic_ai.models.Model`, or its name.
        settings: pydantic-ai's `ModelSettings`, for instance `{"temperature": 0.2}`.
    """
    return PydanticAIModel(model, settings or {})


class PydanticAIModel:
    """A `Model`, made by `pydantic_ai()`."""

    def __init__(self, model: Any, settings: dict[str, Any]) -> None:
        self._model = model
        self._settings = settings
        self._wire: Wire | None = None

    @property
    def name(self) -> str:
        """The model's name, without its provider."""
        if isinstance(self._model, str):
            return self._model.partition(":")[2] or self._model
        return str(self._model.model_name)

    def __repr__(self) -> str:
        return f"pydantic_ai({self.name!r})"

    async def respond(self, request: ModelRequest, on_text: OnText | None = None) -> ModelResponse:
        """Answer one request; `on_text` gets the text as it arrives, if the model can stream.

        Raises:
            ModelError: the provider failed or rejected the request.
        """
        wire = self._load()
        settings = {**self._settings, **wire.settings(request)}
        arguments: dict[str, Any] = {
            "model_settings": settings,
            "model_request_parameters": wire.parameters(request),
        }
        messages = wire.messages(request)
        try:
            if on_text is None:
                direct = importlib.import_module("pydantic_ai.direct")
                response = await direct.model_request(self._model, messages, **arguments)
            else:
                response = await self._stream(messages, arguments, on_text)
        except Exception as error:
            explained = _explain(error, self.name)
            if explained is None:
                raise
            raise explained from None  # the cause contains the request and its key
        return wire.response(response, self.name)

    async def _stream(self, messages: list[Any], arguments: dict[str, Any], on_text: OnText) -> Any:
        direct = importlib.import_module("pydantic_ai.direct")
        async with direct.model_request_stream(self._model, messages, **arguments) as stream:
            async for event in stream:
                text = _text_of(event)
                if text:
                    on_text(text)
            response = stream.get()
        if getattr(response, "state", "complete") in {"interrupted", "incomplete"}:
            raise cut(self.name)
        return response

    def _load(self) -> Wire:
        if self._wire is None:
            try:
                importlib.import_module("pydantic_ai.direct")
            except ImportError:
                raise InvalidSetup(
                    f"pydantic_ai() needs pydantic-ai: {installing('pydantic-ai')}"
                ) from None
            self._wire = Wire(importlib.import_module("pydantic_ai"))
        return self._wire


def _text_of(event: Any) -> str:
    """The text in an event of a stream."""
    kind = getattr(event, "event_kind", "")
    if kind == "part_start" and event.part.part_kind == "text":
        return str(event.part.content)
    if kind == "part_delta" and event.delta.part_delta_kind == "text":
        return str(event.delta.content_delta)
    return ""


def _explain(error: Exception, model: str) -> ModelError | None:
    """The `ModelError` for an error of pydantic-ai; None if the model did not cause it."""
    names = {base.__name__ for base in type(error).__mro__}
    if "UnexpectedModelBehavior" in names:
        return ModelError(f"{model} gave no usable response: {str(error)[:_SHOWN]}", retryable=True)
    if "ModelAPIError" not in names:
        return None
    status = getattr(error, "status_code", 0) or 0
    retryable = is_retryable(status, {}) or bool(names & _TRANSIENT)
    # A provider may repeat a rejected key in its message.
    reason = "" if "ModelAuthenticationError" in names or status in {401, 403} else f": {error}"
    what = f"{model} failed ({type(error).__name__}{f', status {status}' if status else ''})"
    unknown = "ModelAuthenticationError" in names
    rejected = "ModelRequestRejectedError" in names and not names & _ELSEWHERE_PERHAPS
    return ModelError(
        what + reason[:_SHOWN],
        retryable=retryable,
        retry_after=getattr(error, "retry_after", None) if retryable else None,
        bad_request=rejected and not retryable,
        need=None if retryable else need_by_status(401 if unknown else status),
    )
