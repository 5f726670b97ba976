"""Models made of models: the next one when one fails, and a limit on how long one may take."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from ...runtime.duration import seconds
from ...runtime.errors import InvalidSetup
from ..model import Model, ModelError, ModelRequest, ModelResponse, OnText
from .http import late

log = structlog.get_logger("layby.models")


def fallback(*models: Model) -> Model:
    """A model that asks the first of `models`, and the next one when that fails.

    An overloaded, unreachable or misconfigured provider is passed over, which the worker's log
    tells. A request that is itself at fault (`ModelError.bad_request`) is not sent on. When all
    have failed, the run tries them again later if that may help.

    Raises:
        InvalidSetup: fewer than two models.
    """
    if len(models) < 2:  # noqa: PLR2004
        raise InvalidSetup("fallback(...) needs at least two models")
    return _Fallback(models)


def with_timeout(model: Model, timeout: str | float | timedelta) -> Model:
    """`model`, failing with a ModelError when a response takes longer than `timeout`.

    The run tries again later; inside `fallback` the next model is asked at once.

    Raises:
        InvalidDuration: `timeout` cannot be read.
    """
    return _WithTimeout(model, seconds(timeout))


def leaves(model: Model) -> list[Model]:
    """The models that `model` is made of, itself where it is made of none."""
    if isinstance(model, _Fallback | _WithTimeout):
        return [leaf for inner in model.inner for leaf in leaves(inner)]
    return [model]


class _Fallback:
    def __init__(self, models: tuple[Model, ...]) -> None:
        self._models = models

    @property
    def inner(self) -> tuple[Model, ...]:
        """What it is made of."""
        return self._models

    @property
    def name(self) -> str:
        """The first model's name; a response says which model gave it."""
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
                    restart()  # who listens shall not take two halves for one answer
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
        """What it is made of."""
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
