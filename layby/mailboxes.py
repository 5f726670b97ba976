"""The one table of an app's mailboxes: every consumer, and what its messages are.

Provisioning creates the consumers of this table, and a worker subscribes to them: neither has a
list of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import msgspec

from .actors.kinds import human_address
from .actors.workflow import Workflow
from .bus import log
from .bus.names import Names
from .bus.topology import EVENTS, ConsumerSpec

_MAIL_WAIT = 15.0
_QUICK_WAIT = 10.0
"""Ack-wait in seconds of what is handled in milliseconds."""


class Duty(NamedTuple):
    """What the messages of a consumer are; two consumers of one duty have one handler."""

    kind: Literal["due", "waits", "events", "mail", "answers"]
    of: str = ""
    """Whose: a workflow's name for `events`, an address for `mail`, a role for `answers`."""


Row = tuple[ConsumerSpec, Duty]


def mailboxes(
    *,
    workflows: Iterable[Workflow],
    performers: Iterable[str],
    roles: Iterable[str],
    watches: bool,
    log_streams: int,
    names: Names,
) -> Iterator[Row]:
    """The table, a row for each consumer; `performers` are addresses of networks and agents."""
    for spec, duty in _rows(workflows, performers, roles, watches=watches, log_streams=log_streams):
        yield _named(spec, names), duty


def _named(spec: ConsumerSpec, names: Names) -> ConsumerSpec:
    """The consumer under the names of its app. Subjects of events are nobody's to rename."""
    filter_ = spec.filter if spec.stream == EVENTS else names.subject(spec.filter)
    return msgspec.structs.replace(spec, stream=names.stream(spec.stream), filter=filter_)


def _rows(
    workflows: Iterable[Workflow],
    performers: Iterable[str],
    roles: Iterable[str],
    *,
    watches: bool,
    log_streams: int,
) -> Iterator[Row]:
    yield _due()
    if watches:
        yield _waits()
    for workflow in workflows:
        yield _events(workflow)
        yield from _mail(workflow.address, log_streams, _MAIL_WAIT)
    for address in performers:
        yield from _mail(address, log_streams, _MAIL_WAIT)
    for role in roles:
        yield from _mail(human_address(role), log_streams, _QUICK_WAIT)
        yield _answers(role)


def _due() -> Row:
    spec = ConsumerSpec(stream="TIMERS", name="due", filter="due.>", ack_wait=_QUICK_WAIT)
    return spec, Duty("due")


def _waits() -> Row:
    spec = ConsumerSpec(stream=EVENTS, name="waits", filter=">", ack_wait=_QUICK_WAIT)
    return spec, Duty("waits")


def _events(workflow: Workflow) -> Row:
    spec = ConsumerSpec(
        stream=EVENTS,
        name=workflow.consumer,
        filter=workflow.on,
        only_new=True,
        ack_wait=_MAIL_WAIT,
    )
    return spec, Duty("events", workflow.name)


def _answers(role: str) -> Row:
    spec = ConsumerSpec(
        stream="ANSWERS",
        name=f"answers-{role}",
        filter=f"{role}.response.>",
        ack_wait=_QUICK_WAIT,
    )
    return spec, Duty("answers", role)


def _mail(address: str, log_streams: int, ack_wait: float) -> Iterator[Row]:
    """An actor has a consumer in each stream of logs."""
    for stream in log.shares(log_streams):
        spec = ConsumerSpec(
            stream=stream, name=address, filter=log.mail(address), ack_wait=ack_wait
        )
        yield spec, Duty("mail", address)
