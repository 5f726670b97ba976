"""Waits for sleeps, events, other actors and other runs, without occupying a worker."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import msgspec

from . import clock
from .body import Body, raise_failure
from .duration import seconds
from .entry import Awaited, Called, Origin, Raw, Slept, Spawned
from .errors import InvalidSetup
from .matching import fields
from .ports import EventBook
from .recorder import Armed
from .values import dump, load

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Performer(Protocol[T_co]):
    """An actor that a body can call and wait for."""

    @property
    def address(self) -> str:
        """The actor's name in subjects."""
        ...

    def accept(self, result: Raw) -> T_co:
        """Read what the actor returned."""
        ...


class Waiting(Body):
    """The verbs for waiting."""

    def sleep(self, duration: str | float | timedelta) -> Coroutine[Any, Any, None]:
        """Wait without occupying a worker, for months if necessary.

        Args:
            duration: How long.
        """
        until = clock.now() + seconds(duration)
        return self._sleep_until(self._key("sleep"), until)

    def sleep_until(self, when: datetime) -> Coroutine[Any, Any, None]:
        """Wait until a point in time.

        Args:
            when: The time, which must have a time zone.

        Raises:
            InvalidSetup: it has none.
        """
        if when.tzinfo is None:
            raise InvalidSetup(f"{when!r} has no time zone: give it one, for example tzinfo=UTC")
        return self._sleep_until(self._key("sleep"), when.timestamp())

    async def _sleep_until(self, key: str, until: float) -> None:
        if self._open(key, "sleep") is not None:
            return
        await self._recorder.check_may_proceed()
        slept = Slept(frame=self._frame, key=key, until=until)
        await self._recorder.wait(slept, armed=self._armed(key, until))

    async def _call(self, key: str, performer: Performer[T], arguments: Any, note: str) -> T:
        slot = self._open(key, "call")
        if slot is None:
            await self._recorder.check_may_proceed()
            self._check_declared(performer)
            called = Called(
                frame=self._frame,
                key=key,
                child=f"{self._frame}/{key}",
                actor=performer.address,
                input=await self._ports.deflate(dump(arguments), self.run_id),
                note=note,
            )
            slot = await self._recorder.wait(called, to=performer.address)
        if slot.error is not None:
            raise_failure(key, slot.error)
        return performer.accept(await self._ports.inflate(slot.result))

    def _check_declared(self, performer: Performer[Any]) -> None:
        actors = self._ports.actors
        if actors is not None and performer.address not in actors:
            name = getattr(performer, "name", performer.address)
            raise InvalidSetup(
                f"the app does not declare {name!r}, so nobody would handle its mail: "
                "declare it with App(networks=[...]) or App(agents=[...])"
            )

    def wait_for_event(
        self,
        subject: str,
        *,
        match: Mapping[str, Any] | str | None = None,
        timeout: str | float | timedelta | None = None,
        name: str = "",
    ) -> Coroutine[Any, Any, Any]:
        """Wait for the first event on `subject` that matches; return it as JSON.

        An event counts only if it was stored after the one that began the run, and was not consumed
        by a wait that ended before this one began.

        Args:
            subject: One of the app's `events` or triggers.
            match: Fields that the event must have, with their values; a name with dots is a path.
                A whole number equals its text. Or a single path: the field there must equal the
                same field of the event that began the run.
            timeout: Seconds, or a duration as text, after which None is returned; None: no limit.
            name: The step's name; default: the subject.

        Raises:
            InvalidSetup: the app does not declare the subject, or `match` is a path to nothing.
            BadValue: a value of `match` has no JSON form.
        """
        self._recorder.needs_server(f"events on {subject!r} cannot be waited for")
        if self._ports.events is None:
            raise InvalidSetup(f"declare the event with App(events=[{subject!r}]) to wait for it")
        self._ports.events.check(subject)
        awaited = Awaited(
            frame=self._frame,
            key=self._key(name or subject),
            subject=subject,
            match={} if match is None or isinstance(match, str) else load(dump(dict(match))),
            until=0.0 if timeout is None else round(clock.now() + seconds(timeout), 3),
        )
        same = match if isinstance(match, str) else ""
        return self._wait_for(self._ports.events, awaited, same)

    async def _wait_for(self, events: EventBook, awaited: Awaited, same: str) -> Any:
        if same:
            match = {same: await self._of_opening_event(same)}
            awaited = msgspec.structs.replace(awaited, match=match)
        again = self._recorder.redelivered or self._recorder.state.reopened
        if again and self._is_open(awaited.key):
            await self._register(events, awaited)
        slot = self._open(awaited.key, "event")
        if slot is None:
            await self._recorder.check_may_proceed()
            slot = await self._recorder.wait(awaited, armed=self._awaited(events, awaited))
        return load(slot.result)  # an event is always stored inline

    async def _of_opening_event(self, path: str) -> Any:
        """The field at `path` of the event that began the run."""
        event = load(self._recorder.event)
        found = fields(event, [path])
        if found is None:
            raise InvalidSetup(
                f"match={path!r}: the event that began the run has no such field, only "
                f"{sorted(map(str, event))[:20]}"
            )
        return found[path]

    def _awaited(self, events: EventBook, awaited: Awaited) -> Armed:
        async def arm() -> None:
            if awaited.until:
                await self._armed(awaited.key, awaited.until)()
            await self._register(events, awaited)

        return arm

    async def _register(self, events: EventBook, awaited: Awaited) -> None:
        await events.register(self.run_id, awaited, self._recorder.state.started_at)

    def send_event(self, subject: str, data: Any) -> Coroutine[Any, Any, None]:
        """Publish an event once; JetStream has stored it when this returns.

        Args:
            subject: The subject: a trigger, or one of the app's `events`.
            data: The event: any value that has a JSON form.

        Raises:
            StepFailed: it could not be published.
        """
        self._recorder.needs_server(f"no event can be sent on {subject!r}")
        key = self._key(f"send {subject}")
        publish = self._ports.publish
        body = bytes(dump(data))

        async def effect() -> None:
            if publish is not None:
                with self._ports.tracer.work("send", subject):
                    await publish(subject, body, self.idempotency_key(key))

        return self._perform(key, effect, retry=self._ports.retry, note=subject)

    def workflow(
        self,
        workflow: Callable[..., Any] | str,
        data: Any,
        *,
        name: str = "",
        detached: bool = False,
    ) -> Coroutine[Any, Any, Any]:
        """Start another workflow of the app as a separate run, and wait for its result.

        The child is cancelled when this run ends first, or stops waiting because another branch of
        `step.first` has won. A `detached` child continues without its parent.

        Args:
            workflow: The workflow's function, or its name.
            data: The event that starts it, including its ticket in the field `key`.
            name: The step's name; default: the workflow's.
            detached: Whether the child continues when its parent ends or stops waiting.

        Raises:
            StepFailed: it failed; its own log says why.
            RunCancelled: it was cancelled.
        """
        target = workflow if isinstance(workflow, str) else workflow.__name__
        self._recorder.needs_server(f"workflow {target!r} cannot be started")
        return self._spawn(self._key(name or target), target, data, detached=detached)

    async def _spawn(self, key: str, target: str, data: Any, *, detached: bool) -> Any:
        children = self._ports.children
        if children is None:
            raise InvalidSetup("this worker cannot start other workflows")
        origin = Origin(run=self.run_id, frame=self._frame, key=key)
        run, started, actor = children.prepare(target, data, origin)
        known = self._found(key)
        if known is not None and known.kind == "child":
            run = known.ref or run  # an earlier release chose the id in another way

        async def ensure() -> None:
            await children.ensure(run, started, actor)

        again = self._recorder.redelivered or self._recorder.state.reopened
        if again and known is not None and not known.settled:
            await ensure()
            if known.woken:
                await children.again(run, self.run_id, known.woken)
        slot = self._open(key, "child")
        if slot is None:
            await self._recorder.check_may_proceed()
            spawned = Spawned(
                frame=self._frame,
                key=key,
                run=run,
                workflow=target,
                event=started.event,
                detached=detached,
            )
            slot = await self._recorder.wait(spawned, armed=ensure)
        if slot.error is not None:
            raise_failure(key, slot.error)
        return load(await self._ports.inflate(slot.result))
