"""What an agent sees of a network's turns before its own.

Whatever a policy leaves out, the messages stay a conversation that a model accepts: it begins with
the network's task, and every tool call is followed by its result.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec

from ...runtime.actor_step import ActorStep
from ...runtime.calling import maybe_await
from ...runtime.errors import InvalidSetup
from ...runtime.state import Frame, RunState, Slot
from ..keys import ROUTE, TURN, Key
from ..kinds import NETWORK, kind_of
from ..models.attachment import Attachment
from ..models.model import Message, Part, Text, ToolCall, ToolResult
from ..state.state import StateType
from .progress import Played, Progress
from .thread import Earlier, earlier_of
from .turn import Decision, NetworkInput, NetworkResult, TurnInput, TurnResult

E = TypeVar("E")

_CHARACTERS_PER_TOKEN = 4
"""A rough measure that needs no provider's tokenizer."""


@dataclass(frozen=True, kw_only=True)
class Past:
    """What happened in a network before an agent's turn."""

    agent: str
    """The agent whose turn it is."""
    input: str
    """The network's task."""
    turns: list[TurnResult] = field(default_factory=list[TurnResult])
    """The turns so far, oldest first."""
    earlier: list[Earlier] = field(default_factory=list[Earlier])
    """The thread before this run, turn by turn, oldest first."""
    attachments: list[Attachment] = field(default_factory=list[Attachment])
    """Images and documents that belong to `input`."""

    def task(self, note: str = "") -> Message:
        """The task as a message, with which every conversation begins; `note` is added to it."""
        return say(f"{self.input}\n\n{note}" if note else self.input, self.attachments)

    @property
    def before(self) -> list[Message]:
        """The thread before this run, as messages."""
        return [message for each in self.earlier for message in (*each.asked, *each.said)]

    def transcript(
        self,
        turns: list[TurnResult] | None = None,
        note: str = "",
        *,
        before: list[Message] | None = None,
    ) -> list[Message]:
        """A conversation: `before` (default: the whole thread), the task with a note, and `turns`.

        Of the turns (default: all), the agent's own are complete; others are retold as text.
        """
        messages = [*(self.before if before is None else before), self.task(note)]
        for turn in self.turns if turns is None else turns:
            messages += turn.messages if turn.agent == self.agent else [say(retold(turn))]
        return messages

    async def messages(self, policy: History) -> list[Message]:
        """The messages that `policy` lets the agent see, repaired so that a model accepts them."""
        chosen = _NAMED[policy] if isinstance(policy, str) else policy
        return repaired(await maybe_await(chosen(self)), self.task())


Policy: TypeAlias = Callable[[Past], list[Message] | Awaitable[list[Message]]]
"""Returns the messages that an agent should see, sync or async."""
History: TypeAlias = Literal["shared", "own"] | Policy
"""`shared`: all turns. `own`: the agent's own turns. Or `last_n(3)`, `token_budget(4_000)`, or a
function of the `Past` that returns messages."""


def shared(past: Past) -> list[Message]:
    """All turns."""
    return past.transcript()


def own(past: Past) -> list[Message]:
    """The agent's own turns, and everything that the user said."""
    before = [
        message
        for each in past.earlier
        for message in (*each.asked, *(each.said if each.who == past.agent else ()))
    ]
    return past.transcript([turn for turn in past.turns if turn.agent == past.agent], before=before)


_NAMED: dict[str, Policy] = {"shared": shared, "own": own}


def last_n(turns: int) -> Policy:
    """A policy that shows the latest `turns` turns: those of the run first, then of its thread.

    Raises:
        InvalidSetup: `turns` is negative.
    """
    if turns < 0:
        raise InvalidSetup(f"last_n({turns}): give 0 or more")

    def newest(past: Past) -> list[Message]:
        kept = min(turns, len(past.turns))
        return _newest(
            past, kept, _suffix(past.earlier, turns - kept, lambda each: bool(each.said))
        )

    return newest


def token_budget(tokens: int) -> Policy:
    """A policy that shows the latest turns which fit into about `tokens` tokens.

    A token is taken to be four characters. The turns of the run come first, then those of its
    thread. The network's task is not counted, and always shown.

    Raises:
        InvalidSetup: `tokens` is negative.
    """
    if tokens < 0:
        raise InvalidSetup(f"token_budget({tokens}): give 0 or more")

    def fitting(past: Past) -> list[Message]:
        left = tokens * _CHARACTERS_PER_TOKEN
        sizes = [_size(past.transcript([turn], before=[])[1:]) for turn in past.turns]
        kept = _suffix(sizes, left, int)
        left -= sum(sizes[len(sizes) - kept :])
        whole = kept == len(sizes)
        return _newest(past, kept, _suffix(past.earlier, left, _length) if whole else 0)

    return fitting


def _suffix(items: Sequence[E], limit: int, cost: Callable[[E], int]) -> int:
    """How many of the last items together cost at most `limit`."""
    kept = 0
    for item in reversed(items):
        limit -= cost(item)
        if limit < 0:
            break
        kept += 1
    return kept


def _newest(past: Past, turns: int, earlier: int) -> list[Message]:
    """The conversation with the last `turns` of the run and the last `earlier` of its thread."""
    thread = past.earlier[len(past.earlier) - earlier :]
    skipped = past.earlier[: len(past.earlier) - earlier]
    left_out = len(past.turns) - turns + sum(1 for each in skipped if each.said)
    what = "turn is" if left_out == 1 else "turns are"
    note = f"[{left_out} earlier {what} left out.]" if left_out else ""
    before = [message for each in thread for message in (*each.asked, *each.said)]
    return past.transcript(past.turns[len(past.turns) - turns :], note, before=before)


def _length(earlier: Earlier) -> int:
    return _size([*earlier.asked, *earlier.said])


def _size(messages: Sequence[Message]) -> int:
    return sum(len(msgspec.json.encode(message)) for message in messages)


def check_history(agent: str, policy: Any) -> None:
    """Raise InvalidSetup unless `policy` is a `History`."""
    if policy not in _NAMED and not callable(policy):
        raise InvalidSetup(
            f"agent {agent!r}: history={policy!r}: give 'shared', 'own', last_n(3), "
            "token_budget(4_000) or a function of the Past"
        )


def repaired(messages: list[Message], task: Message) -> list[Message]:
    """`messages` as models accept them: calls with results, a user's message first and last."""
    whole: list[Message] = []
    for place, message in enumerate(messages):
        after = messages[place + 1] if place + 1 < len(messages) else None
        before = whole[-1] if whole else None
        parts = [part for part in message.parts if _has_partner(part, before, after)]
        if parts:
            whole.append(Message(role=message.role, parts=parts))
    if not whole or whole[0].role == "assistant":
        whole.insert(0, task)
    if whole[-1].role == "assistant":
        whole.append(say("It is your turn again."))
    return whole


def _has_partner(part: Part, before: Message | None, after: Message | None) -> bool:
    if isinstance(part, ToolCall):
        return after is not None and any(
            isinstance(p, ToolResult) and p.id == part.id for p in after.parts
        )
    if isinstance(part, ToolResult):
        return before is not None and any(call.id == part.id for call in before.tool_calls)
    return True


async def conversation(
    step: ActorStep,
    state: RunState,
    frame: Frame,
    asked: TurnInput,
    task: NetworkInput,
    *,
    kind: StateType,
) -> tuple[Past, Progress]:
    """What happened before a turn, and the states at its start."""
    progress = Progress(kind, task.state)
    slots = state.frames[frame.parent].slots
    for number in range(asked.number + 1):
        decision: Decision = await step.read(slots[str(Key(ROUTE, number))].result, Decision)
        progress.decided(decision)
        if number == asked.number:
            break
        progress.played(await _round(step, state, slots, number))
    earlier = earlier_of(task.before, asked.agent)
    past = past_of(asked.agent, task, turns=progress.turns, earlier=earlier)
    return past, progress


def past_of(agent: str, task: NetworkInput, **what: Any) -> Past:
    """What happened before a turn of `agent` in a network that works on `task`."""
    return Past(agent=agent, input=task.input, attachments=task.attachments, **what)


async def _round(
    step: ActorStep, state: RunState, slots: dict[str, Slot], number: int
) -> list[Played]:
    """The turns of one round of a network, in the order in which the router chose them."""
    found: list[Played] = []
    place = 0
    while (slot := slots.get(str(Key(TURN, number, place)))) is not None:
        place += 1
        if kind_of(state.frames[slot.ref].actor) == NETWORK:
            result: NetworkResult[Any] = await step.read(slot.result, NetworkResult)
            found.append(Played(slot.settled, as_turn(result)))
        else:
            found.append(Played(slot.settled, await step.read(slot.result, TurnResult)))
    return found


def as_turn(result: NetworkResult[Any]) -> TurnResult:
    """A nested network's result as one turn of the enclosing network."""
    return TurnResult(
        agent=result.network,
        text=result.text,
        stop=result.status,
        calls=[call for turn in result.turns for call in turn.calls],
        usage=result.usage,
        state=result.state,
        changes=result.changes,
        output=result.output,
    )


def say(text: str, attachments: Sequence[Attachment] = ()) -> Message:
    """A user message."""
    return Message(role="user", parts=[Text(text=text), *attachments])


def retold(turn: TurnResult) -> str:
    """Another agent's turn as text, because its tools are not this agent's tools."""
    lines = [f"[{turn.agent} took a turn.]"]
    lines += [
        f"- It called {call.name} with {call.arguments}: {'error: ' if call.is_error else ''}"
        f"{call.content}"
        for call in turn.calls
    ]
    if turn.text:
        lines.append(f"- It said: {turn.text}")
    return "\n".join(lines)
