"""The changes of calls and hooks, as their records hold them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ...runtime.actor_step import ActorStep
from ...tools.context import ToolContext
from ..keys import AFTER, BEFORE, TOOL, Key, scope
from ..models.model import ToolCall
from ..state.merge import Change, Merged
from ..state.state import located, whole
from ..threads.turn import CallOutcome, Prepared
from .ledger import Ledger
from .turnstile import Touch

_HOOKS = {BEFORE: "before_tool of ", AFTER: "after_tool of "}


class LiveContext(ToolContext[Any]):
    """A context whose states are looked up when they are first accessed."""

    @classmethod
    def of(cls, touch: Touch, **fields: Any) -> LiveContext:
        """A context whose states are the view of `touch`."""
        context = cls(**fields)
        for state in ("state", "agent_state"):
            object.__delattr__(context, state)
        object.__setattr__(context, "_touch", touch)
        return context

    def __getattr__(self, name: str) -> Any:
        if name not in {"state", "agent_state"} or "_touch" not in self.__dict__:
            raise AttributeError(name)
        touch: Touch = self.__dict__["_touch"]
        return getattr(touch.open(), name)

    @property
    def seen(self) -> list[str]:
        """The keys of the changes of this response that the state contains."""
        touch: Touch = self.__dict__["_touch"]
        return sorted(touch.open().seen)


def scoped(step: ActorStep, key: Key) -> ActorStep:
    """The step in which `key.inner` is a name: a routing decision's own, or the body's."""
    return step if key.decision is None else step.under(scope(key.decision).rstrip("/"))


def kept(touch: Touch, outcome: CallOutcome) -> CallOutcome:
    """An outcome as it is recorded. Raises ToolError when a state no longer fits."""
    handed_on = outcome.changes is not None
    shared, own, seen = list(outcome.changes or ()), list(outcome.own_changes), outcome.seen
    if touch.view is not None or outcome.state or outcome.agent_state:
        view = touch.open()
        made = view.changes(outcome.state, outcome.agent_state)
        shared, own = [*made.shared, *shared], [*made.own, *own]
        seen = seen if handed_on else sorted(view.seen)
    return msgspec.structs.replace(
        outcome,
        state={},
        agent_state={},
        changes=shared,
        own_changes=own,
        seen=seen if shared or own else [],
    )


def prepared_with(touch: Touch, prepared: Prepared) -> Prepared:
    """The decisions before a call, as they are recorded. Raises ToolError as `kept` does."""
    made = kept(touch, CallOutcome(content=""))
    return msgspec.structs.replace(
        prepared, changes=made.changes, own_changes=made.own_changes, seen=made.seen
    )


class Book:
    """Reads the records of a response's calls into its ledger."""

    def __init__(self, step: ActorStep, ledger: Ledger, calls: Mapping[Key, ToolCall]) -> None:
        self._step = step
        self._ledger = ledger
        self._calls = calls
        self._read: set[Key] = set()

    async def catch_up(self) -> None:
        """Read the new records, which other workers may have written."""
        for call in self._calls:
            for kind, wanted in ((BEFORE, Prepared), (TOOL, CallOutcome), (AFTER, CallOutcome)):
                key = call.of(kind)
                slot = self._step.recorded(str(key))
                if key in self._read or slot is None or not slot.settled or slot.error is not None:
                    continue
                self.note(key, await self._step.read(slot.result, wanted))

    def note(self, key: Key, record: Prepared | CallOutcome) -> None:
        """Add a record that this worker has just read or written."""
        if key in self._read:
            return
        self._read.add(key)
        if record.changes is None:
            if key.kind == AFTER:  # it also contained what the call itself had set
                self._ledger.forget(str(key.of(TOOL)))
            ops = located(whole(record.state), whole(record.agent_state))
        else:
            ops = located(record.changes, record.own_changes)
        if ops:
            self._ledger.note(
                Change(
                    key=str(key),
                    who=self.writer(key),
                    ops=ops,
                    seen=frozenset(record.seen),
                    whole=record.changes is None,
                )
            )

    def writer(self, key: Key) -> str:
        """The name of the writer at a key, for people and models."""
        call = self._calls[key.of(TOOL)]
        return f"{_HOOKS.get(key.kind, '')}{call.name} (call {(key.place or 0) + 1})"

    def reported(self, key: Key, outcome: CallOutcome, merged: Merged) -> CallOutcome:
        """The outcome at a key as the model sees it: an error if its changes were refused."""
        refusal = merged.refused.get(str(key))
        if refusal is None:
            return outcome
        name = self._calls[key.of(TOOL)].name
        content = _TEXTS[key.kind].format(tool=name, was=outcome.content, why=refusal)
        return msgspec.structs.replace(outcome, content=content, is_error=True)


_TEXTS: dict[str, str] = {
    TOOL: "{tool} ran, and its result was: {was}\n"
    "But what it changed in the state was not kept: {why}. Call {tool} again if that is still "
    "wanted and running it twice does no harm.",
    AFTER: "{was}\n"
    "But what the after_tool hook of {tool} changed in the state was not kept: {why}.",
}
NOT_RUN = "{tool} was not run: what its before_tool hook changed in the state was not kept: {why}"
