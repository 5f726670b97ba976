"""The spans of what is done within a segment: steps, requests to models, tools, events sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeAlias

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Tracer

from ..actors.models.combined import leaves
from ..actors.models.model import Model, ModelRequest, ModelResponse
from ..actors.threads.turn import CallOutcome
from ..runtime.errors import Parked
from ..runtime.tracing import Kind
from . import content, names
from .bounded import shown
from .harmless import harmless
from .place import around, parent
from .segment import fail

Value: TypeAlias = str | int | list[str]
Facts: TypeAlias = Mapping[str, Value]


class Rules(NamedTuple):
    """What spans may say."""

    contents: bool
    """What models and tools say."""
    errors: bool
    """What errors say."""


class WorkSpan:
    """A `Work`."""

    def __init__(self, span: Span, rules: Rules, noted: Callable[[Any, Rules], Facts]) -> None:
        self._span = span
        self._rules = rules
        self._noted = noted
        self._current: AbstractContextManager[Span] = trace.use_span(
            span, end_on_exit=False, record_exception=False, set_status_on_exception=False
        )

    @harmless(None)
    def note(self, result: Any) -> None:
        """Note what came of it."""
        if self._span.is_recording():
            self._span.set_attributes(self._noted(result, self._rules))

    def __enter__(self) -> Self:
        self._current.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace_: TracebackType | None,
    ) -> None:
        self._current.__exit__(None, None, None)
        self._end(error)

    @harmless(None)
    def _end(self, error: BaseException | None) -> None:
        if isinstance(error, Parked):
            self._span.set_attribute(names.OUTCOME, "paused")
        elif isinstance(error, Exception | SystemExit | KeyboardInterrupt):
            fail(self._span, error, tells=self._rules.errors)
        elif error is not None:
            self._span.set_attribute(names.OUTCOME, "interrupted")
        self._span.end()


def begin(
    tracer: Tracer, kind: Kind, name: str, facts: Mapping[str, Any], rules: Rules
) -> WorkSpan:
    """Begin a span in the segment that this task is in."""
    form = _FORMS[kind]
    segment = around.get()
    shared = segment.conversation if segment is not None else dict[str, str]()
    span = tracer.start_span(
        f"{form.operation} {shown(form.title(name))}",
        parent(),
        kind=form.kind,
        attributes={**shared, **form.begun(name, facts, rules)},
    )
    return WorkSpan(span, rules, form.noted)


def _step(name: str, facts: Mapping[str, Any], rules: Rules) -> Facts:
    del facts, rules
    return {names.STEP_KEY: shown(name)}


def _send(name: str, facts: Mapping[str, Any], rules: Rules) -> Facts:
    del facts, rules
    return {
        names.MESSAGING: names.NATS,
        names.MESSAGING_TYPE: names.SEND,
        names.MESSAGING_NAME: names.PUBLISH,
        names.DESTINATION: shown(name),
    }


def _model(name: str, facts: Mapping[str, Any], rules: Rules) -> Facts:
    model: Model = facts["model"]
    request: ModelRequest = facts["request"]
    provider = str(getattr(leaves(model)[0], "provider", "")) or _UNKNOWN
    limit = {} if request.max_tokens is None else {names.MAX_TOKENS: request.max_tokens}
    return {
        names.OPERATION: names.CHAT,
        names.PROVIDER: shown(provider),
        names.REQUEST_MODEL: shown(name),
        **limit,
        **(content.asked(request) if rules.contents else {}),
    }


def _responded(response: ModelResponse, rules: Rules) -> Facts:
    usage, found = response.usage, dict[str, Value]()
    if response.model:
        found[names.RESPONSE_MODEL] = shown(response.model)
    if usage.tokens:
        read, wrote = usage.cache_read_tokens, usage.cache_write_tokens
        found |= {
            names.INPUT_TOKENS: usage.input_tokens + read + wrote,
            names.OUTPUT_TOKENS: usage.output_tokens,
            **({names.CACHE_READ: read} if read else {}),
            **({names.CACHE_WRITE: wrote} if wrote else {}),
        }
    found[names.FINISH] = [content.FINISH.get(response.stop_reason, response.stop_reason)]
    return {**found, **(content.said(response) if rules.contents else {})}


def _tool(name: str, facts: Mapping[str, Any], rules: Rules) -> Facts:
    return {
        names.OPERATION: names.TOOL,
        names.TOOL_NAME: shown(name),
        names.TOOL_CALL: shown(str(facts["id"])),
        names.TOOL_TYPE: "function",
        **(content.called(facts["arguments"]) if rules.contents else {}),
    }


def _returned(outcome: CallOutcome, rules: Rules) -> Facts:
    failed = {names.ERROR: "tool_error"} if outcome.is_error else {}
    return {**failed, **(content.returned(outcome.content) if rules.contents else {})}


def _nothing(result: Any, rules: Rules) -> Facts:
    del result, rules
    return {}


def _name(key: str) -> str:
    """A step's name without its tool and the number of its use, so that spans share it."""
    return key.rpartition("/")[2].partition("#")[0]


class _Form(NamedTuple):
    operation: str
    kind: SpanKind
    begun: Callable[[str, Mapping[str, Any], Rules], Facts]
    noted: Callable[[Any, Rules], Facts] = _nothing
    title: Callable[[str], str] = str


_UNKNOWN: Final = "_OTHER"
_FORMS: Final[Mapping[Kind, _Form]] = {
    "step": _Form(names.STEP, SpanKind.INTERNAL, _step, title=_name),
    "send": _Form(names.SEND, SpanKind.PRODUCER, _send),
    "model": _Form(names.CHAT, SpanKind.CLIENT, _model, _responded),
    "tool": _Form(names.TOOL, SpanKind.INTERNAL, _tool, _returned),
}
