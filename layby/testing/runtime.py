"""A server, a worker and a client in one context, and time that passes on request."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from ..actors.people.answer import Receipt
from ..app import App
from ..bus.errors import LaybyError
from ..bus.log import Log
from ..bus.opened import opened
from ..bus.requests import Requests
from ..bus.settings import ConnectionSettings
from ..bus.topology import Provisioner
from ..client import Client
from ..client.signing import sign_answer
from ..runtime.ids import is_run_id, run_id
from ..runtime.matching import field
from ..runtime.nkey import Signer
from ..runtime.run import LiveRun
from ..runtime.state import RunState
from ..runtime.values import dump
from ..runtime.worker import Worker
from ..views.rows import QuestionRow, RunDetail
from ..worker.worker import working
from .crashes import DoomedWorker, doomed_worker, owed, redeliver
from .history import History
from .repeats import warn_of
from .server import server
from .wake_ups import Fired, Kind, WakeUp, first, named, timeouts, wake_ups

T = TypeVar("T")

_PAUSE = 0.01
_LISTED_AFTER = 0.02
"""Seconds after which a question is listed: tests need not wait as long as people may."""
_STORY = 15
"""Lines of a run's story that an error shows."""


class RunFailed(AssertionError):
    """A run did not do what the test waits for; the message shows its history."""


class TestRuntime:
    """What `running` gives a test. A `run` is an id or a ticket; None: the newest that was sent."""

    __test__ = False  # pytest: no tests in here

    def __init__(
        self,
        app: App,
        target: str,
        settings: ConnectionSettings,
        *,
        client: Client,
        requests: Requests,
        within: float,
    ) -> None:
        self.app = app
        self.settings = settings
        """How to connect to the server, for a client or worker of your own."""
        self.client = client
        """For everything that this class has no method for."""
        self._target = target
        self._requests = requests
        self._log = Log(requests)
        self._within = within
        self._sent: dict[str, str] = {}
        self._newest = ""
        self._doomed: DoomedWorker | None = None
        """The worker that is to be killed in the block `crashing`."""

    # -- events from outside -------------------------------------------------------------------

    async def send(self, subject: str, data: Any, *, event_id: str | None = None) -> str:
        """Send an event; return the id of the run that it starts.

        Of several workflows on the subject, the run of the first; "" when it starts none.
        """
        event_id = event_id or uuid.uuid4().hex
        body = bytes(dump(data))
        await self.client.send(subject, body, event_id=event_id)
        for workflow in self.app.workflows.values():
            if workflow.on == subject:
                self._newest = run_id(workflow.name, event_id)
                self._sent[str(field(msgspec.json.decode(body), workflow.key))] = self._newest
                return self._newest
        return ""

    async def question(self, run: str | None = None, *, role: str | None = None) -> QuestionRow:
        """The open question of a run that was asked first, once there is one.

        Raises:
            RunFailed: there is none in time, or the run ends without one.
        """
        wanted = await self.find(run)

        async def look() -> QuestionRow | None:
            rows = [q for q in await self.client.questions(role) if q.run == wanted]
            return min(rows, key=lambda row: row.asked_at, default=None)

        return await self._wait(wanted, look, "a question")

    async def answer(
        self, run: str | None, text: str, *, signer: Signer | None = None, **options: Any
    ) -> Receipt:
        """Answer the oldest open question of a run, once there is one; return the receipt.

        `options` are those of `Client.answer`: `by`, `role`, `question_id`. With a `signer` the
        answer is signed as `by`, for a role that declares this key. A worker that is killed
        when it has taken the answer may owe the receipt; then the run's log says what it will be.
        """
        question = await self.question(run, role=options.get("role"))
        named: dict[str, Any] = {"role": question.role, "question_id": question.id, **options}
        if signer is not None:
            by = str(options.get("responder") or options.get("by") or "")
            put = msgspec.structs.replace(question, role=named["role"])
            signed = sign_answer(put, text, by=by, signer=signer)
            named |= {"responder": by, "signature": signed.signature}
        asking = asyncio.ensure_future(
            self.client.answer(question.ticket, text, timeout=self._within, **named)
        )
        if self._doomed is not None:
            death = asyncio.ensure_future(self._doomed.dead(self._within))
            await asyncio.wait({asking, death}, return_when=asyncio.FIRST_COMPLETED)
            death.cancel()
            taken = (await self.state(question.run)).questions[question.id]
            if not asking.done() and taken.status == "answered":
                asking.cancel()
                return owed(question, taken)
        return await asking

    async def advance(self, run: str | None = None, *, kind: Kind | None = None) -> Fired:
        """Let the next deadline, sleep, back-off or timeout of a run come now; return what it was.

        The wake-up is delivered early, and the runtime does with it what it does with any. Clocks
        are not touched: `step.now()` returns the real time. Which would come first is the clock's
        decision; the workflow's own timeout counts only once the run waits for something, and not
        while a person is asked, whose time it leaves out.

        Args:
            run: Which run.
            kind: Only this: `question`, `sleep`, `step` (a back-off), `event` or `timeout`. With
                `timeout` the run need not wait: it is ended in the middle of its work.

        Raises:
            RunFailed: the run waits for nothing of the kind, or ends.
        """
        wanted = await self.find(run)

        async def look() -> WakeUp | None:
            state = await self.state(wanted)
            found = wake_ups(state)
            if state.waits or kind == "timeout":
                found += timeouts(self.app, state)
            return first(found, kind)

        fired, body = await self._wait(wanted, look, named(kind))
        due = self._requests.names.subject(f"due.early-{uuid.uuid4().hex}")
        await self._requests.store(due, msgspec.json.encode(body))

        async def gone() -> bool:
            state = await self.state(wanted)
            left = [*wake_ups(state), *timeouts(self.app, state)]
            return state.ended or not any(each.is_for(body) for each in left)

        await self._wait(wanted, gone, f"{fired.name!r} to be over", may_end=True)
        return fired

    # -- results -------------------------------------------------------------------------------

    async def result(self, run: str | None = None) -> Any:
        """What the workflow returned, as JSON, once the run is over.

        Raises:
            RunFailed: it did not complete, or not in time.
        """
        detail = await self.ended(run)
        if detail.status != "completed":
            raise RunFailed(f"{detail.status}: {detail.error}\n{await self.story(detail.id)}")
        return detail.result

    async def ended(self, run: str | None = None) -> RunDetail:
        """The run once it is over or blocked, however it ended. Raises RunFailed if it is late."""
        wanted = await self.find(run)

        async def look() -> bool:
            state = await self.state(wanted)
            return state.ended or bool(state.blocked)

        await self._wait(wanted, look, "its end", may_end=True)
        return await self.client.show(wanted)

    async def state(self, run: str) -> RunState:
        """The state of a run, by its log."""
        live = LiveRun(self._log, RunState(id=run), signers=self.app.signers)
        await live.catch_up()
        return live.state

    async def record(self, run: str | None = None) -> History:
        """The run's history, for `replay`."""
        return await self.client.record(await self.find(run))

    async def find(self, run: str | None = None) -> str:
        """The id of a run, by its id or ticket; None: the newest that was sent here."""
        found = self._newest if run is None else self._sent.get(run, "")
        if not found and run is not None:
            found = run if is_run_id(run) else (await self.client.show(run)).id
        if not found:
            raise LaybyError("no run was started here yet: send an event first, or name a run")
        return found

    async def story(self, run: str) -> str:
        """The last lines of a run's history, for people."""
        try:
            steps = (await self.client.show(run)).steps
        except LaybyError as error:
            return f"  {error}"
        lines = [f"  {step.n} {step.kind}: {step.name} {step.detail}" for step in steps]
        return "\n".join(lines[-_STORY:])

    # -- workers -------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def worker(self) -> AsyncGenerator[Worker]:
        """One more worker in this process, while the block is open."""
        async with working(self.app, self.settings, listed_after=_LISTED_AFTER) as worker:
            yield worker

    @contextlib.asynccontextmanager
    async def crashing(self, point: str, *, after: int = 1) -> AsyncGenerator[None]:
        """A worker in a process of its own, which is killed when it reaches `point`.

        The points are `CRASH_POINTS`; `after` is how often it is reached. The block does what
        brings the worker there (sends, answers); at its end the worker must be dead, and what it
        was handling is free for another. Give `running` the app as "module:name", and
        `workers=0`, so that this worker gets the messages.

        Raises:
            RunFailed: the point was not reached in time.
        """
        if not self._target:
            raise LaybyError('name the app for the worker\'s process: running("module:name")')
        async with doomed_worker(self._target, self.settings, point, after) as worker:
            self._doomed = worker
            try:
                yield
            finally:
                self._doomed = None
            if not await worker.dead(self._within):
                story = await self.story(self._newest) if self._newest else ""
                raise RunFailed(f"{point} (x{after}) was not reached\n{worker.stderr}\n{story}")
        await redeliver(self._requests, self.app.topology())

    async def crash(self, point: str, *, after: int = 1) -> None:
        """Let a worker work until it reaches `point`, and is killed there. See `crashing`."""
        async with self.crashing(point, after=after):
            pass

    async def _wait(
        self, run: str, look: Callable[[], Awaitable[T | None]], what: str, *, may_end: bool = False
    ) -> T:
        try:
            async with asyncio.timeout(self._within):
                while not (found := await look()):
                    if not may_end and (await self.state(run)).ended:
                        break
                    await asyncio.sleep(_PAUSE)
        except TimeoutError:
            found = None
        if not found:
            raise RunFailed(f"run {run} has not come to {what}:\n{await self.story(run)}")
        return found


@contextlib.asynccontextmanager
async def running(
    app: App | str, *, url: str | None = None, workers: int = 1, within: float = 10.0
) -> AsyncGenerator[TestRuntime]:
    """A server, `workers` workers for `app` in this process, and a client, while the block is open.

    Args:
        app: The app, or where to import it from: "module:name".
        url: A server that is there already; None: one of its own, in a temporary folder.
        workers: How many; 0 for tests that start them later.
        within: Seconds that anything may take before the test fails.

    Warns:
        RunsAgain: at the end, of each tool that waited and did something outside a step again.
    """
    target = app if isinstance(app, str) else ""
    loaded = _load(app) if isinstance(app, str) else app
    async with contextlib.AsyncExitStack() as stack:
        if url is None:
            url = (await stack.enter_async_context(server())).url
        settings = ConnectionSettings(servers=(url,))
        ring = loaded.encryption
        _, requests = await stack.enter_async_context(
            opened(settings, prefix=loaded.prefix, keyring=ring)
        )
        await Provisioner(requests).ensure(loaded.topology())
        people = loaded.people.values()
        client = await stack.enter_async_context(
            Client.connect(settings, prefix=loaded.prefix, keyring=ring, keys=people)
        )
        crew = [
            await stack.enter_async_context(working(loaded, settings, listed_after=_LISTED_AFTER))
            for _ in range(workers)
        ]
        yield TestRuntime(loaded, target, settings, client=client, requests=requests, within=within)
        warn_of({name for worker in crew for name in worker.host.ports.repeated})


def _load(target: str) -> App:
    module, _, name = target.partition(":")
    found = getattr(importlib.import_module(module), name or "app")
    if not isinstance(found, App):
        raise LaybyError(f"{target} is a {type(found).__name__}, not a layby App")
    return found
