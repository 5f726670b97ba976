"""The one table of an app's mailboxes: every consumer, and what its messages are.

Provisioning creates the consumers in this table and a worker subscribes to them. Neither has a
list of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from .actors.kinds import human_address
from .actors.people.early_answers import lookahead_consumer
from .actors.people.notices import NOTICE
from .actors.workflows.workflow import EVENTS_OF, Workflow
from .bus import log_subject
from .bus.layout import SAID
from .bus.names import EVENTS, Names
from .bus.specs import CARDS, ConsumerSpec
from .bus.timers import HELD
from .bus.token import encode
from .commands import ALL, CONSUMER, STREAM
from .runtime.act_records import VERBS
from .runtime.channel import Channel
from .runtime.opened_records import OPENED

_WAITS = "waits"
_MAIL_WAIT = 15.0
_QUICK_WAIT = 10.0
"""Ack wait, in seconds, of messages that are handled in milliseconds."""


_Kind: TypeAlias = Literal[
    "due", "rungs", "held", "commands", "waits", "events", "mail", "answers", "acts", "cards"
]


class Duty(NamedTuple):
    """What the messages of a consumer are; consumers with the same duty share a handler."""

    kind: _Kind
    of: str = ""
    """Whose: a workflow's name for `events`, an address for `mail`, a role for answers and acts, a
    role and a channel for `cards`."""


Row = tuple[ConsumerSpec, Duty]


def mailboxes(
    *,
    workflows: Iterable[Workflow],
    performers: Iterable[str],
    roles: Iterable[str],
    watched: Collection[str],
    streams: Mapping[str, str],
    log_streams: int,
    names: Names,
    channels: Mapping[str, Sequence[Channel]] = MappingProxyType({}),
) -> Iterator[Row]:
    """The table, a row for each consumer.

    Args:
        workflows: The workflows of the app.
        performers: The addresses of its networks and agents.
        roles: The roles of people.
        watched: The subjects of events that runs wait for or are cancelled by.
        streams: The streams of events that Layby did not create, by subject.
        log_streams: How many streams hold the logs.
        names: The names of the app's streams and subjects.
        channels: The channels of each role that has any.
    """
    yield from _events(list(workflows), watched, streams, names)
    own = _own(workflows, performers, roles, log_streams)
    for spec, duty in (*own, *_channels(channels)):
        first, *also = map(names.subject, spec.filters)
        stream = names.stream(spec.stream)
        yield msgspec.structs.replace(spec, stream=stream, filter=first, also=tuple(also)), duty


def second_words(*, shown: bool) -> frozenset[str]:
    """The second words of the subjects of a role; `shown`: it has channels."""
    return frozenset({"question", "receipt", *SAID, *([NOTICE] if shown else ())})


def is_for_events(consumer: str, names: Names) -> bool:
    """Whether a consumer, of any app with these names, delivers events."""
    own = consumer.removeprefix(names.guest(""))
    return own == _WAITS or own.startswith((f"{_WAITS}-", EVENTS_OF))


def waiting_consumer(subject: str, streams: Mapping[str, str], names: Names) -> str:
    """The consumer that delivers the events on a subject to the runs that wait for them."""
    return names.guest(f"{_WAITS}-{encode(subject)}") if subject in streams else _WAITS


def _events(
    workflows: list[Workflow], watched: Collection[str], streams: Mapping[str, str], names: Names
) -> Iterator[Row]:
    """Consumers of events, on the users' own subjects."""
    own = names.stream(EVENTS)
    for subject in sorted(watched):
        if subject in streams:
            name = waiting_consumer(subject, streams, names)
            yield _guest(streams[subject], name, subject, _QUICK_WAIT), Duty("waits")
    if set(watched) - streams.keys():
        spec = ConsumerSpec(stream=own, name=_WAITS, filter=">", ack_wait=_QUICK_WAIT)
        yield spec, Duty("waits")
    for workflow in workflows:
        name, subject, duty = workflow.consumer, workflow.on, Duty("events", workflow.name)
        if subject in streams:
            guest = _guest(streams[subject], names.guest(name), subject, _MAIL_WAIT)
            yield msgspec.structs.replace(guest, own=True), duty
        else:
            spec = ConsumerSpec(
                stream=own,
                name=name,
                filter=subject,
                only_new=True,
                ack_wait=_MAIL_WAIT,
                own=True,
            )
            yield spec, duty


def _guest(stream: str, name: str, subject: str, ack_wait: float) -> ConsumerSpec:
    """A consumer in a stream that Layby did not create."""
    return ConsumerSpec(
        stream=stream, name=name, filter=subject, only_new=True, ack_wait=ack_wait, guest=True
    )


def _own(
    workflows: Iterable[Workflow],
    performers: Iterable[str],
    roles: Iterable[str],
    log_streams: int,
) -> Iterator[Row]:
    """Consumers of what Layby itself publishes, by their names without a prefix."""
    spec = ConsumerSpec(stream="TIMERS", name="due", filter="due.>", ack_wait=_QUICK_WAIT)
    yield spec, Duty("due")
    spec = ConsumerSpec(stream="TIMERS", name="rungs", filter="rung.>", ack_wait=_QUICK_WAIT)
    yield spec, Duty("rungs")
    spec = ConsumerSpec(
        stream=STREAM, name=CONSUMER, filter=ALL, ack_wait=_QUICK_WAIT, one_at_a_time=True
    )
    yield spec, Duty("commands")
    for workflow in workflows:
        yield from _mail(workflow.address, log_streams, _MAIL_WAIT)
    for address in performers:
        yield from _mail(address, log_streams, _MAIL_WAIT)
    for role in roles:
        yield from _mail(human_address(role), log_streams, _QUICK_WAIT)
        yield _answers(role)
        yield _acts(role)


def cards_of(role: str, channel: str) -> Duty:
    """The duty of showing a role's questions on a channel."""
    return Duty("cards", f"{role}.{channel}")


def _channels(channels: Mapping[str, Sequence[Channel]]) -> Iterator[Row]:
    """Consumers of what is shown on channels: one for each channel of each role."""
    if channels:
        spec = ConsumerSpec(stream="TIMERS", name="held", filter=f"{HELD}.>", ack_wait=_QUICK_WAIT)
        yield spec, Duty("held")
    for role, its in channels.items():
        for name in (each.name for each in its):
            spec = ConsumerSpec(
                stream="QUESTIONS",
                name=f"{CARDS}{role}-{name}",
                filter=f"{role}.question.*",
                also=(f"{role}.{NOTICE}.*",),
                only_new=True,
                ack_wait=_QUICK_WAIT,
                own=True,
            )
            yield spec, cards_of(role, name)


def lookaheads(roles: Iterable[str], names: Names) -> Iterator[ConsumerSpec]:
    """The consumers that show which answers wait, if there are many."""
    for role in roles:
        yield ConsumerSpec(
            stream=names.stream("ANSWERS"),
            name=lookahead_consumer(role),
            filter=names.subject(f"{role}.response.>"),
            only_new=True,
            lookahead=True,
        )


def _answers(role: str) -> Row:
    spec = ConsumerSpec(
        stream="ANSWERS",
        name=f"answers-{role}",
        filter=f"{role}.response.>",
        ack_wait=_QUICK_WAIT,
    )
    return spec, Duty("answers", role)


def _acts(role: str) -> Row:
    """What people say to questions besides answers: in nobody's way who answers."""
    first, *also = (f"{role}.{verb}.>" for verb in (*VERBS, OPENED))
    spec = ConsumerSpec(
        stream="ANSWERS",
        name=f"acts-{role}",
        filter=first,
        also=tuple(also),
        ack_wait=_QUICK_WAIT,
    )
    return spec, Duty("acts", role)


def _mail(address: str, log_streams: int, ack_wait: float) -> Iterator[Row]:
    """An actor's consumers: one in each stream of logs."""
    for stream in log_subject.shares(log_streams):
        spec = ConsumerSpec(
            stream=stream, name=address, filter=log_subject.mail(address), ack_wait=ack_wait
        )
        yield spec, Duty("mail", address)
