"""Lets only one call of a response at a time have unrecorded changes of the state.

This merely saves calls from conflicts: it is the ledger that keeps changes from being lost. So a
call waits here for a limited time only, and then continues.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Self, TypeVar

from .ledger import Ledger, View

T = TypeVar("T")

_PATIENCE = 30.0
"""Seconds that a call waits for another one whose changes are not recorded yet."""
_BLOCKED = (
    "the state cannot be accessed from a thread while the event loop is blocked: "
    "await the thread, with asyncio.to_thread for instance"
)


class Turnstile:
    """Decides who may use the state: the call that has changed it, or, if none has, any call."""

    def __init__(self) -> None:
        self._holder: Touch | None = None
        self._free = asyncio.Event()
        self._free.set()
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()

    def is_shut(self, touch: Touch) -> bool:
        """Whether `touch` should wait for another call that holds changes."""
        return self._holder not in {None, touch} and not touch.impatient

    def is_held(self, touch: Touch) -> bool:
        """Whether `touch` holds changes itself."""
        return self._holder is touch

    async def passes(self, touch: Touch) -> None:
        """Wait until no other call holds changes, or for as long as patience lasts."""
        try:
            async with asyncio.timeout(_PATIENCE):
                while self.is_shut(touch):
                    await self._free.wait()
        except TimeoutError:
            touch.impatient = True

    def hold(self, touch: Touch) -> None:
        """Make others wait, unless one holds it already."""
        if self._holder is None:
            self._holder = touch
            self._free.clear()

    def release(self, touch: Touch) -> None:
        """Let others continue."""
        if self._holder is touch:
            self._holder = None
            self._free.set()


class Touch:
    """One attempt's use of the state, from its first access until its changes are recorded."""

    def __init__(self, ledger: Ledger, turnstile: Turnstile) -> None:
        self._ledger = ledger
        self._turnstile = turnstile
        self._over = False
        self.impatient = False
        """Whether it has waited for others long enough."""
        self.view: View | None = None
        """What user code works on; None until it first accesses the state."""

    def open(self) -> View:
        """The view, taken at the first access; a thread waits its turn for it."""
        if self.view is None and threading.get_ident() != self._turnstile.thread:
            waits = asyncio.run_coroutine_threadsafe(self._open_alone(), self._turnstile.loop)
            try:
                return waits.result(2 * _PATIENCE)
            except TimeoutError:
                raise TimeoutError(_BLOCKED) from None
        return self._view()

    def _view(self) -> View:
        if self._over:  # a thread that has outlived its call: its changes do not count
            return self.view or self._ledger.view()
        if self.view is None:
            self.view = self._ledger.view()
        return self.view

    async def _open_alone(self) -> View:
        """The view for a thread, which cannot be paused: it holds the state from the start."""
        if not self._over:
            await self._turnstile.passes(self)
        if not self._over:
            self._turnstile.hold(self)
        return self._view()

    def pause(self) -> None:
        """Make others wait if user code, which yields to them now, has changed something."""
        if self.view is None or self._over or self._turnstile.is_held(self):
            return
        if self.view.is_changed:
            self._turnstile.hold(self)

    def drop(self) -> None:
        """Discard the changes."""
        self.view = None
        self.close()

    def close(self) -> None:
        """Note that the changes are recorded, or never will be."""
        self._over = True
        self._turnstile.release(self)

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        """Do `work`, which may access the state, taking turns with other calls."""
        try:
            made: T = await _InTurn(work, self, self._turnstile)
        except BaseException:
            self.drop()
            raise
        return made


class Tries:
    """The attempts of one call, which hold their changes until the call is recorded."""

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
        """Begin one more attempt."""
        touch = Touch(self._ledger, self._turnstile)
        self._made.append(touch)
        return touch


class _InTurn:
    """Drives a coroutine, and does not resume it while another call holds changes."""

    def __init__(self, work: Coroutine[Any, Any, Any], touch: Touch, turnstile: Turnstile) -> None:
        self._work = work
        self._touch = touch
        self._turnstile = turnstile

    def __await__(self) -> Generator[Any, Any, Any]:
        resume: Callable[[Any], Any] = self._work.send
        given: Any = None
        while True:
            if resume == self._work.send and self._turnstile.is_shut(self._touch):
                try:
                    yield from self._turnstile.passes(self._touch).__await__()
                except BaseException as error:  # noqa: BLE001  it is the coroutine's
                    resume, given = self._work.throw, error
            try:
                waits = resume(given)
            except StopIteration as end:
                return end.value
            finally:
                self._touch.pause()
            try:
                resume, given = self._work.send, (yield waits)
            except GeneratorExit:
                self._work.close()
                raise
            except BaseException as error:  # noqa: BLE001  it is the coroutine's
                resume, given = self._work.throw, error
