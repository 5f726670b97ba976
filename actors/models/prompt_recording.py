"""Records what a step sends to its model, in the step's own record."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import structlog

from ...runtime.actor_step import ActorStep
from ...runtime.entry import NULL, Raw
from ...runtime.price import Price, cost, price_of
from ...runtime.spent import Spent
from .attachment import Attachment
from .held_data import HeldData
from .marks import mark
from .model import Model, ModelRequest, ModelResponse
from .outbox import Outbox, opened
from .prompt_book import PromptBook

log = structlog.get_logger("layby.models")

NEUTRAL = "layby"
"""The form of requests to models whose adapter does not say what it sends."""


class PromptRecorder:
    """Records the requests of one turn, or of one decision of a routing agent, one at a time.

    It never fails a step.
    """

    def __init__(self, step: ActorStep, attachments: Sequence[Attachment] = ()) -> None:
        self._step = step
        self._attachments = attachments
        """The attachments of the task, which the log holds."""
        self._book = PromptBook()
        self._outbox = Outbox()
        self._asked: tuple[Model, ModelRequest] | None = None
        """What a model was asked since the last record."""

    @contextmanager
    def asking(self, model: Model, request: ModelRequest) -> Generator[None]:
        """While the block runs, the model is asked."""
        if not self._step.ports.record_prompts:
            yield
            return
        self._asked, self._outbox = (model, request), Outbox()
        with opened(self._outbox):
            yield

    async def sent(self) -> Raw:
        """The newest request, as it is recorded; null: there was none."""
        asked, self._asked = self._asked, None
        if asked is None:
            return NULL
        try:
            return await self._recorded(*asked)
        except Exception as error:  # noqa: BLE001  the response counts, whatever is wrong with this
            log.warning("prompt.not_recorded", run=self._step.run_id, error=type(error).__name__)
            return NULL

    def spent(self, result: Any) -> Spent | None:
        """What a response used; None: no model was asked."""
        if not isinstance(result, ModelResponse):
            return None
        ports, took = self._step.ports, spent(result, self._step.ports.prices)
        if took is not None or result.model:  # otherwise a hook has answered in its place
            ports.observer.responded(self._step.actor, result.model, took)
        return took

    async def _recorded(self, model: Model, request: ModelRequest) -> Raw:
        form, body = self._outbox.form, self._outbox.body
        if not form:
            form, body = NEUTRAL, neutral(model, request)
        self._book.catch_up(self._step.state.sent)
        held = HeldData(self._attachments)
        sent, parts = self._book.record(form, mark(held.without(dict(body))))
        if parts:
            raw = msgspec.Raw(msgspec.json.encode(parts))
            kept = await self._step.ports.deflate(raw, self._step.run_id)
            sent = msgspec.structs.replace(sent, parts=kept)
        return msgspec.Raw(msgspec.json.encode(sent))


def spent(response: ModelResponse, prices: Mapping[str, Price]) -> Spent | None:
    """What a response used, in tokens and in money; None: its provider counts nothing."""
    usage, price = response.usage, price_of(response.model, prices)
    if not usage.tokens:
        return None
    return Spent(
        input_tokens=usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
        cost=None if price is None else cost(usage, price),
    )


def neutral(model: Model, request: ModelRequest) -> Mapping[str, Any]:
    """A request in our own form."""
    fields: dict[str, Any] = msgspec.to_builtins(request)
    return {"model": model.name, **fields}
