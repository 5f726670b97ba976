"""Makes spans of a worker's work, with OpenTelemetry."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

from opentelemetry.trace import TracerProvider

from ..runtime.address import Address
from ..runtime.state import RunState
from ..runtime.tracing import UNTRACED, Entry, Kind, Segment, Work
from . import content, names
from .harmless import give_up, harmless
from .segment import Actor, SegmentSpan, ended
from .work import Rules, begin


class SpanTracer:
    """A `Tracer` over a provider of OpenTelemetry."""

    def __init__(
        self,
        provider: TracerProvider,
        actors: Mapping[str, Actor],
        *,
        encrypted: bool = False,
        contents: bool | None = None,
    ) -> None:
        """Over `provider`.

        Args:
            provider: Makes the spans.
            actors: The actors of the app, by their addresses.
            encrypted: Whether its runs are: then spans say nothing of what is in them.
            contents: Whether spans hold what models and tools say; None: as the environment says.
        """
        self._tracer: Final = provider.get_tracer(names.SCOPE)
        self._actors = actors
        wanted = content.is_wanted() if contents is None else contents
        self._rules = Rules(contents=wanted and not encrypted, errors=not encrypted)

    def segment(self, entry: Entry) -> AbstractContextManager[Segment]:
        """The span of an entered frame."""
        try:
            actor = self._actor(entry.address)
            return SegmentSpan(self._tracer, entry, actor, tells=self._rules.errors)
        except Exception as error:  # noqa: BLE001  work goes on without this span
            give_up(error)
            return UNTRACED.segment(entry)

    def work(self, kind: Kind, name: str, **facts: Any) -> AbstractContextManager[Work]:
        """The span of a piece of work in the segment that this task is in."""
        try:
            return begin(self._tracer, kind, name, facts, self._rules)
        except Exception as error:  # noqa: BLE001  work goes on without this span
            give_up(error)
            return UNTRACED.work(kind, name)

    @harmless(None)
    def ended(self, state: RunState) -> None:
        """Note that a run was ended from outside while it waited."""
        ended(self._tracer, self._actor(state.root.actor), state)

    def _actor(self, address: str) -> Actor:
        found = self._actors.get(address)
        return found or Actor(names.AGENT, Address.parse(address).name)
