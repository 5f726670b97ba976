"""Lets one call of a response at a time hold changes of the state that are not recorded yet.

It spares calls the conflict, no more: that no change is lost is the ledger's doing. So whoever
waits here does so for a limited time, and then goes on.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Self, TypeVar

from .ledger import Ledger, View

T = TypeVar("T")

_PATIENCE = 30.0
"""Seconds that a call waits for another that has changed the state and is not done."""
_BLOCKED = (
    "the state cannot be looked up from a thread while the event loop is blocked: "
    "await the thread, with asyncio.to_thread for instance"
)


class Turnstile:
    """Who may go on with the state: whoever has changed it, or anybody."""

    def __init__(self) -> None:
        self._holder: Touch | None = None
        self._free = asyncio.Event()
        self._free.set()
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()

    def is_shut(self, touch: Touch) -> bool:
        """Whether another holds changes, and it is worth waiting for."""
        return self._holder not in {None, touch} and not touch.impatient

    def is_held(self, touch: Touch) -> bool:
        """Whether it holds changes itself."""
        return self._holder is touch

    async def passes(self, touch: Touch) -> None:
        """Wait until no other holds changes, or patience ends."""
        try:
            async with asyncio.timeout(_PATIENCE):
                while self.is_shut(touch):
                    await self._free.wait()
        except TimeoutError:
            touch.impatient = True

    def hold(self, touch: Touch) -> None:
        """Keep others from going on, unless one holds it already."""
        if self._holder is None:
            self._holder = touch
            self._free.clear()

    def let_go(self, touch: Touch) -> None:
        """Let others go on."""
        if self._holder is touch:
            self._holder = None
            self._free.set()


class Touch:
    """One try's use of the state, from its first touch until its changes are recorded."""

    def __init__(self, ledger: Ledger, turnstile: Turnstile) -> None:
        self._ledger = ledger
        self._turnstile = turnstile
        self._over = False
        self.impatient = False
        """Whether it has waited for others long enough."""
        self.view: View | None = None
        """What user code has in its hands; None until it has asked for it."""

    def open(self) -> View:
        """The view, taken when it is first asked for, by a thread in turn with the others."""
        if self.view is None and threading.get_ident() != self._turnstile.thread:
            waits = asyncio.run_coroutine_threadsafe(self._open_alone(), self._turnstile.loop)
            try:
                return waits.result(2 * _PATIENCE)
            except TimeoutError:
                raise TimeoutError(_BLOCKED) from None
        return self._view()

    def _view(self) -> View:
        if self._over:  # a thread that has outlived its call: nobody looks at what it does
            return self.view or self._ledger.view()
        if self.view is None:
            self.view = self._ledger.view()
        return self.view

    async def _open_alone(self) -> View:
        """The view for a thread, which nobody can halt in between: it holds from the start."""
        if not self._over:
            await self._turnstile.passes(self)
        if not self._over:
            self._turnstile.hold(self)
        return self._view()

    def pause(self) -> None:
        """User code lets others run: hold them off where it has changed something."""
        if self.view is None or self._over or self._turnstile.is_held(self):
            return
        if self.view.is_changed:
            self._turnstile.hold(self)

    def drop(self) -> None:
        """What was changed is not kept."""
        self.view = None
        self.close()

    def close(self) -> None:
        """What was changed is recorded, or never will be."""
        self._over = True
        self._turnstile.let_go(self)

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        """Do `work`, which touches the state, in turn with the others."""
        try:
            made: T = await _InTurn(work, self, self._turnstile)
        except BaseException:
            self.drop()
            raise
        return made


class Tries:
    """The tries of one call, which hold their changes until the call is recorded."""

    def __init__(self, ledger: Ledger, turnstile: Turnstile) -> None:
        self._ledger = ledger
        self._turnstile = turnstile
        self._made: list[Touch] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for touch in self._made:
            touch.close()

    def begin(self) -> Touch:
        """One more try."""
        touch = Touch(self._ledger, self._turnstile)
        self._made.append(touch)
        return touch


class _InTurn:
    """Steps a coroutine, and does not resume it while another holds changes of the state."""

    def __init__(self, work: Coroutine[Any, Any, Any], touch: Touch, turnstile: Turnstile) -> None:
        self._work = work
        self._touch = touch
        self._turnstile = turnstile

    def __await__(self) -> Generator[Any, Any, Any]:
        go_on: Callable[[Any], Any] = self._work.send
        given: Any = None
        while True:
            if go_on == self._work.send and self._turnstile.is_shut(self._touch):
                try:
                    yield from self._turnstile.passes(self._touch).__await__()
                except BaseException as error:  # noqa: BLE001  it is the coroutine's
                    go_on, given = self._work.throw, error
            try:
                waits = go_on(given)
            except StopIteration as end:
                return end.value
            finally:
                self._touch.pause()
            try:
                go_on, given = self._work.send, (yield waits)
            except GeneratorExit:
                self._work.close()
                raise
            except BaseException as error:  # noqa: BLE001  it is the coroutine's
                go_on, given = self._work.throw, error
