"""What a step of a run has sent to its model, from the run's log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from ..actors.models.held_data import data_in, digest, held_in, restored
from ..actors.models.marks import (
    CONVERSATIONS,
    Marks,
    NotAsSent,
    by_digest,
    digest_of,
    id_of,
    unmark,
    whole_items,
)
from ..actors.models.prompt_book import apply
from ..bus.errors import LaybyError, ValueLost
from ..bus.log import LogMessage
from ..runtime.entry import NULL, Called, Failed, Raw, Stepped
from ..runtime.envelope import read
from ..runtime.sent import Sent, sent_of
from ..runtime.streaming import step_name
from .prompt import Prompt
from .prompt_forms import prompt

_LISTED = 20

Inflate = Callable[[Raw], Awaitable[Raw]]


class NoPrompt(LaybyError):
    """The log does not say what a step has sent to a model."""


class SentByStep(NamedTuple):
    """One request, and the record that says it."""

    n: int
    place: int
    """The index of the record within the message at that position."""
    step: str
    """The path to the step, as in events."""
    sent: Sent


class PromptReader:
    """Reads the requests in one run's log."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.found: list[SentByStep] = []
        """The requests so far, in order."""
        self._by_id: dict[str, Sent] = {}
        self._inputs: list[Raw] = []
        """What agents and networks were called with."""

    def read(self, messages: Iterable[LogMessage]) -> None:
        """Read the next messages of the log."""
        for message in messages:
            envelope = read(message.data)
            for place, record in enumerate(envelope.records if envelope is not None else ()):
                if isinstance(record, Called):
                    self._inputs.append(record.input)
                sent = sent_of(record.sent) if isinstance(record, Stepped | Failed) else None
                if sent is not None and isinstance(record, Stepped | Failed):
                    step = step_name(record.frame, record.key)
                    self.found.append(SentByStep(message.n, place, step, sent))
                    self._by_id.setdefault(sent.id, sent)

    async def prompt(self, step: str, inflate: Inflate) -> Prompt:
        """What a step sent, by its number in the log (`12` or `12.1`) or the path to it.

        Raises:
            NoPrompt: it is not recorded, or a part of it is lost.
        """
        found = self._find(step)
        try:
            marks = self._marks(found.sent)
            body = unmark(marks, await self._parts(marks, inflate))
            body = restored(body, await self._held(body, inflate))
        except (NotAsSent, ValueLost) as error:
            why = f"what step {found.step} of run {self.run} sent cannot be shown: {error}"
            raise NoPrompt(why) from None
        shown = prompt(found.sent.form, body)
        return msgspec.structs.replace(
            shown,
            run=self.run,
            step=found.step,
            n=found.n,
            place=found.place,
            new_from=_new_from(found.sent, marks, shown),
        )

    def _find(self, step: str) -> SentByStep:
        n, _, place = step.partition(".")
        if n.isdecimal() and (not place or place.isdecimal()):
            known = [each for each in self.found if each.n == int(n)]
            found = [each for each in known if not place or each.place == int(place)]
        else:
            found = [each for each in self.found if each.step == step][-1:]
        if not found:
            raise NoPrompt(
                f"run {self.run} has no record that {step!r} asked a model; {self._known}"
            )
        return found[0]

    @property
    def _known(self) -> str:
        """The steps that have a request, for people."""
        if not self.found:
            return "it has none at all: is its app declared with record_prompts=False?"
        newest = [f"{each.n}.{each.place} ({each.step})" for each in self.found[-_LISTED:]]
        return f"these do: {'' if len(self.found) <= _LISTED else '..., '}{', '.join(newest)}"

    def _marks(self, sent: Sent) -> Marks:
        """The marks of a request. Raises NotAsSent."""
        chain: list[Sent] = [sent]
        seen = {id(sent)}
        while chain[-1].base:
            base = self._by_id.get(chain[-1].base)
            if base is None or id(base) in seen:
                raise NotAsSent("the log lacks an earlier request that it repeats")
            seen.add(id(base))
            chain.append(base)
        marks: Marks = {}
        for each in reversed(chain):
            marks = apply(each, marks)
        if id_of(marks) != sent.id:
            raise NotAsSent("its record is damaged")
        return marks

    async def _held(self, body: Any, inflate: Inflate) -> dict[str, str]:
        """The data of attachments that a request is recorded without, by digest."""
        wanted = set(held_in(body))
        found: dict[str, str] = {}
        for raw in self._inputs:
            if wanted <= found.keys():
                break
            for data in data_in(msgspec.json.decode(await inflate(raw))):
                found[digest(data)] = data
        return found

    async def _parts(self, marks: Marks, inflate: Inflate) -> dict[str, Any]:
        """The parts that marks stand for, as far as the log has them."""
        missing = {digest_of(each) for field in marks.values() for each in field}
        parts: dict[str, Any] = {}
        for _, _, _, sent in self.found:
            own = {digest_of(each) for field in sent.marks.values() for each in field}
            if sent.parts == NULL or not own & missing:
                continue
            read = by_digest(msgspec.json.decode(await inflate(sent.parts)))
            parts |= read
            missing -= read.keys()
        return parts


async def prompt_of(
    run: str, messages: Iterable[LogMessage], step: str, inflate: Inflate
) -> Prompt:
    """What a step of a run sent to its model. Raises NoPrompt."""
    reader = PromptReader(run)
    reader.read(messages)
    return await reader.prompt(step, inflate)


def _new_from(sent: Sent, marks: Marks, shown: Prompt) -> int:
    """The index of the first message that the request before it did not have."""
    name = next((each for each in CONVERSATIONS if each in marks), "")
    if not name or not sent.base:
        return 0
    if name not in sent.marks:
        return len(shown.messages)
    items = whole_items(marks[name], sent.kept.get(name, 0))
    total = whole_items(marks[name], len(marks[name]))
    return max(0, items - (total - len(shown.messages)))
