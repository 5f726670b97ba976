"""Concurrent branches of a body."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, NamedTuple, TypeVar, overload

from ..bus.log_subject import NOBODY
from .body import Body
from .entry import Stepped, Withdrawn
from .errors import Parked
from .failure import as_error, blame, steps_of
from .state import RunState, Slot
from .strand import Strand, strand
from .values import dump, load

T = TypeVar("T")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")


class Branching(Body):
    """The verbs for concurrency."""

    async def gather(self, *branches: Awaitable[Any]) -> list[Any]:
        """Run branches concurrently; return their results in order.

        All branches run as far as they can. If some failed, the first error in the order of the log
        is raised, so that it is the same error on every pass.

        Args:
            branches: What to run: verbs of the step, or coroutines that use them.
        """
        ends = await self._run_branches(branches)
        errors = [
            (end.line.position, end.error) for end in ends if isinstance(end.error, Exception)
        ]
        if errors:
            first = min(errors, key=lambda each: each[0])[1]
            blame(first, *(step for _, error in errors for step in steps_of(error)))
            raise first
        if any(end.error for end in ends):
            raise Parked
        return [end.value for end in ends]

    # One overload for each number: with fewer, mypy infers Any for different types.
    @overload
    async def first(self, a: Awaitable[T], /) -> T: ...

    @overload
    async def first(self, a: Awaitable[T], b: Awaitable[T2], /) -> T | T2: ...

    @overload
    async def first(
        self, a: Awaitable[T], b: Awaitable[T2], c: Awaitable[T3], /
    ) -> T | T2 | T3: ...

    @overload
    async def first(
        self, a: Awaitable[T], b: Awaitable[T2], c: Awaitable[T3], /, *more: Awaitable[T4]
    ) -> T | T2 | T3 | T4: ...

    async def first(self, *branches: Awaitable[Any]) -> Any:
        """Run branches concurrently; return the result of the first to end, or raise its error.

        The others are stopped, and their waits are withdrawn: their questions are closed.

        Args:
            branches: What to run: verbs of the step, or coroutines that use them.
        """
        key = self._key("first")
        slot = self._slot(key, "step")
        decided = load(slot.result, int) if slot is not None and slot.settled else None
        began = strand.get().n
        ends = await self._run_branches(branches, race=decided is None, winner=decided)
        if slot is not None and decided is not None:
            strand.get().consume(slot.settled, slot.owner)
            self._leave_if_lost([e.line for n, e in enumerate(ends) if n != decided], began)
        else:
            over = [n for n, end in enumerate(ends) if not isinstance(end.error, Parked)]
            if not over:
                raise Parked
            await self._recorder.check_may_proceed()
            decided = min(over, key=lambda n: ends[n].line.position)
            self._record(Stepped(frame=self._frame, key=key, result=dump(decided)))
            await self._recorder.flush()
        await self._withdraw([e.line for n, e in enumerate(ends) if n != decided])
        won = ends[decided]
        if isinstance(won.error, Exception):
            raise won.error
        return won.value

    def _leave_if_lost(self, losers: Sequence[Strand], began: int) -> None:
        """Leave if this handler's mail ended a branch that lost. Raises Parked.

        It owns nothing after the race. Inside a step, whose function may do something by itself
        there, nothing else would stop it.
        """
        lost = any(line.n > began and self._recorder.owns(line.owner) for line in losers)
        if lost and not self._recorder.owns(strand.get().owner):
            raise Parked

    async def _withdraw(self, lines: Sequence[Strand]) -> None:
        state = self._recorder.state
        for frame, key, slot in _waits(state, self._frame, [k for li in lines for k in li.touched]):
            role = state.questions[slot.ref].role if slot.kind == "ask" else ""
            withdrawn = Withdrawn(frame=frame, key=key)
            to = self._ports.role_address(role) if role else NOBODY
            await self._recorder.flush(to=to, mail=withdrawn)
            if slot.kind == "child":
                await self._abandon(slot)
        if self._recorder.redelivered:  # a crash may have come in between
            for key in dict.fromkeys(key for line in lines for key in line.touched):
                again = state.slot(self._frame, key)
                if again is not None and again.kind == "child" and again.dropped:
                    await self._abandon(again)

    async def _abandon(self, slot: Slot) -> None:
        """End a child that nobody waits for now; done again when this run has ended."""
        if self._ports.children is not None and not slot.detached:
            await self._ports.children.end(slot.ref, self.run_id, self._recorder.state.tail)

    async def _run_branches(
        self,
        branches: Sequence[Awaitable[Any]],
        *,
        race: bool = False,
        winner: int | None = None,
    ) -> list[_BranchEnd]:
        """Run branches in tasks. In a race, stop the others when one has ended."""
        lines = [strand.get().fork() for _ in branches]
        for number, line in enumerate(lines):
            line.frozen = line.frozen or winner not in {None, number}
        tasks = [
            asyncio.ensure_future(_branch(branch, line))
            for branch, line in zip(branches, lines, strict=True)
        ]
        try:
            with self._recorder.branching(tasks):
                await _until_over(tasks, race=race)
        finally:
            await _stop(tasks)
        ends = [
            _BranchEnd(line, None, Parked()) if task.cancelled() else task.result()
            for task, line in zip(tasks, lines, strict=True)
        ]
        parent = strand.get()
        for number, end in enumerate(ends):
            if winner in {None, number}:
                parent.join(end.line)
        return ends


class _BranchEnd(NamedTuple):
    """How a branch ended."""

    line: Strand
    value: Any
    error: BaseException | None


async def _branch(branch: Awaitable[Any], line: Strand) -> _BranchEnd:
    """Run a branch in its own task, and so its own context."""
    strand.set(line)
    try:
        return _BranchEnd(line, await branch, None)
    except Parked as parked:
        return _BranchEnd(line, None, parked)
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001  raised by the waiter
        return _BranchEnd(line, None, as_error(error))


async def _until_over(tasks: Sequence[asyncio.Task[_BranchEnd]], *, race: bool) -> None:
    """Wait for all tasks; in a race, until one has ended rather than parked."""
    left = set(tasks)
    while left:
        when = asyncio.FIRST_COMPLETED if race else asyncio.FIRST_EXCEPTION
        done, left = await asyncio.wait(left, return_when=when)
        ends = [task.result() for task in done]  # raises what ends the activation
        if race and any(not isinstance(end.error, Parked) for end in ends):
            return


def _waits(state: RunState, frame: str, keys: Sequence[str]) -> list[tuple[str, str, Slot]]:
    """The open waits under `keys`, the innermost first."""
    found: list[tuple[str, str, Slot]] = []
    for key in dict.fromkeys(keys):
        slot = state.slot(frame, key)
        if slot is None or slot.settled:
            continue
        child = state.frames.get(slot.ref) if slot.kind == "call" else None
        if child is not None:
            found += _waits(state, child.id, list(child.slots))
        found.append((frame, key, slot))
    return found


async def _stop(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel the tasks that still run: a fenced activation must leave none behind."""
    left = [task for task in tasks if not task.done()]
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left)
