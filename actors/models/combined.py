"""Models made of other models: fallbacks, and time limits."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from ...runtime.duration import seconds
from ...runtime.errors import InvalidSetup
from .http import late
from .model import Model, ModelError, ModelRequest, ModelResponse, OnText

log = structlog.get_logger("layby.models")


def fallback(*models: Model) -> Model:
    """A model that asks the first of `models`, and the next one if that fails.

    It skips a provider that is overloaded, unreachable or misconfigured, which the worker's log
    reports. An invalid request (`ModelError.bad_request`) does not go to the next model.
    When all models have failed, the run retries later if that may help.

    Raises:
        InvalidSetup: fewer than two models.
    """
    if len(models) < 2:  # noqa: PLR2004
        raise InvalidSetup("fallback(...) needs at least two models")
    return _Fallback(models)


def with_timeout(model: Model, timeout: str | float | timedelta) -> Model:
    """`model` with a time limit: it raises a ModelError if a response takes longer than `timeout`.

    The run then retries later; inside `fallback`, the next model is asked at once.

    Raises:
        InvalidDuration: `timeout` is not a duration.
    """
    return _WithTimeout(model, seconds(timeout))


def leaves(model: Model) -> list[Model]:
    """The models that `model` is made of; `model` itself if it is not made of others."""
    if isinstance(model, _Fallback | _WithTimeout):
        return [leaf for inner in model.inner for leaf in leaves(inner)]
    return [model]


class _Fallback:
    def __init__(self, models: tuple[Model, ...]) -> None:
        self._models = models

    @property
    def inner(self) -> tuple[Model, ...]:
        """The models that it is made of."""
        return self._models

    @property
    def name(self) -> str:
        """The first model's name; a response names the model that gave it."""
        return self._models[0].name

    def __repr__(self) -> str:
        return f"fallback({', '.join(map(repr, self._models))})"

    async def respond(self, request: ModelRequest, on_text: OnText | None = None) -> ModelResponse:
        """Answer with the first model that can. Raises ModelError."""
        errors: list[ModelError] = []
        for model in self._models:
            try:
                return await model.respond(request, on_text)
            except ModelError as error:
                if error.bad_request:
                    raise
                log.warning("model.fallback", model=model.name, error=str(error))
                errors.append(error)
                if restart := getattr(on_text, "restart", None):
                    restart()  # listeners must not take two partial answers for one
        raise _all_failed(errors)


def _all_failed(errors: list[ModelError]) -> ModelError:
    passing = [error for error in errors if error.retryable]
    waits = [error.retry_after for error in passing]
    soonest = min((wait for wait in waits if wait is not None), default=None)
    needs = [error.need for error in errors if error.need is not None]
    return ModelError(
        "no model gave a response: " + "; ".join(map(str, errors)),
        retryable=bool(passing),
        need=None if passing or not needs else needs[0],
        retry_after=None if None in waits else soonest,
    )


class _WithTimeout:
    def __init__(self, model: Model, limit: float) -> None:
        self._model = model
        self._limit = limit

    @property
    def inner(self) -> tuple[Model, ...]:
        """The models that it is made of."""
        return (self._model,)

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    def __repr__(self) -> str:
        return f"with_timeout({self._model!r}, {self._limit:g})"

    async def respond(self, request: ModelRequest, on_text: OnText | None = None) -> ModelResponse:
        """Answer within the limit. Raises ModelError."""
        limit = asyncio.timeout(self._limit)
        try:
            async with limit:
                return await self._model.respond(request, on_text)
        except TimeoutError:
            if not limit.expired():
                raise  # the model's own
            raise late(self.name, self._limit) from None
