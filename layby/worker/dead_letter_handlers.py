"""The handlers of commands about dead letters: retry one, or drop it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from ..actors.workflows.event_waits import WaitActor
from ..actors.workflows.workflow import WorkflowActor
from ..app import App
from ..bus.dead import CannotRetry, DeadLetter, DeadLetters, NoSuchLetter
from ..bus.requests import Requests
from ..commands import InvalidCommand, StoredCommand
from ..mailboxes import Duty, is_for_events
from ..runtime.delivery_policy import PoisonMessage
from ..runtime.host import Host
from .command_actor import CommandTask, WrongWorker

_FOR_OTHERS: Final = 12
"""Deliveries of a command, some three minutes, in which a worker of another app may take it."""


class DeadLetterHandlers:
    """Retries and drops dead letters."""

    def __init__(self, app: App, host: Host, requests: Requests, waits: WaitActor | None) -> None:
        self._app = app
        self._host = host
        self._waits = waits
        self._names = requests.names
        self._dead = DeadLetters(requests)

    async def retry(self, task: CommandTask) -> dict[str, Any]:
        """Have a letter's message handled again. Raises NoSuchLetter, CannotRetry, WrongWorker.

        An event goes to the workflow, or to the waiting runs, and to nobody else: others may read
        its stream. A message on a subject of Layby's own is published again.

        The letter is removed after the outcome is stored: until then a repeated command finds it,
        and does the same with the same id.
        """
        number = _letter(task)
        letter = await self._dead.get(number)
        duty = self._duty(letter)
        if duty is None and is_for_events(letter.mailbox, self._names):
            raise self._not_ours(number, letter, task)
        if duty is not None and duty.kind in {"events", "waits"}:
            try:
                seq, run = letter.seq, await self._hand_over(number, duty)
            except PoisonMessage as error:
                raise CannotRetry(
                    f"letter {number} still cannot be handled, and stays: {error}"
                ) from None
        else:
            seq, run = await self._dead.resend(number), ""
        return {"letter": number, "stream": letter.stream, "seq": seq, "run": run}

    def _duty(self, letter: DeadLetter) -> Duty | None:
        """The duty of a letter's mailbox in this app; None: the app has no such mailbox."""
        for consumer, duty in self._app.mailboxes():
            if consumer.name == letter.mailbox and letter.stream in {"", consumer.stream}:
                return duty
        return None

    async def _hand_over(self, number: int, duty: Duty) -> str:
        """Give an event to its workflow or waiting runs; the run that it starts, if any."""
        event = await self._dead.original(number)
        if duty.kind == "events":
            return await WorkflowActor(self._app.workflows[duty.of], self._host).start_again(event)
        if self._waits is not None:
            await self._waits.deliver(event)
        return ""

    def _not_ours(self, number: int, letter: DeadLetter, task: CommandTask) -> Exception:
        if task.num_delivered < _FOR_OTHERS:
            return WrongWorker(f"app {self._app.name!r} has no mailbox {letter.mailbox!r}")
        return CannotRetry(
            f"letter {number} is an event for the mailbox {letter.mailbox!r} of the stream "
            f"{letter.stream}, and no worker that has it has come: start the app that declares its "
            f"workflow, or drop the letter with `layby dead drop {number}`"
        )

    async def drop(self, task: CommandTask) -> dict[str, Any]:
        """Remove a letter. Raises NoSuchLetter."""
        number = _letter(task)
        try:
            await self._dead.drop(number)
        except NoSuchLetter:
            if not task.again:
                raise
        return {"letter": number}

    async def gone(self, stored: StoredCommand) -> None:
        """Remove a letter whose message was handled again. Repeatable."""
        number = stored.command.letter
        with suppress(NoSuchLetter):
            await self._dead.drop(number)


def _letter(task: CommandTask) -> int:
    number = task.stored.command.letter
    if number < 1:
        raise InvalidCommand("`letter` must be the number of a dead letter: `layby dead list`")
    return number
