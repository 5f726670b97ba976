"""What each kind of login needs of an app, in subjects. Nothing that is not here is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ..app import App
from ..bus.log import shares
from ..bus.names import EVENTS
from ..runtime.taking_up import BLOCKED
from ..runtime.worker import CANCEL

_API: Final = "$JS.API."
_LOOKS: Final = (
    "INFO",
    "STREAM.INFO.*",
    "STREAM.NAMES",
    "CONSUMER.LIST.*",
    "CONSUMER.INFO.*.*",
    "STREAM.MSG.GET.*",
)


def of_provisioner() -> tuple[str, ...]:
    """What makes streams and consumers, or verifies them."""
    verbs = ("STREAM.INFO.*", "STREAM.CREATE.*", "STREAM.UPDATE.*", "STREAM.NAMES")
    return _api(*verbs, "CONSUMER.INFO.*.*", "CONSUMER.CREATE.*.>")


def of_worker(app: App) -> tuple[str, ...]:
    """What a worker publishes. It creates nothing, and deletes what was to be kept for a time."""
    own = app.names.subject
    said = [own(f"{role}.{noun}.*") for role in app.roles for noun in ("question", "receipt")]
    buckets = [app.names.keys(name, ">") for name in ("parked", "questions", "runs", "blocked")]
    waits = [app.names.keys("waits", ">")] if app.watches else []
    kept = [own(f"{word}.>") for word in ("to", "timer", "blob", "dead", "layby.thread")]
    told = [own("events.*"), own(f"{CANCEL}.*"), own(f"{BLOCKED}.*")]
    purges = _purges(app) if app.retentions() else ()
    return (
        *_api("STREAM.INFO.*", "CONSUMER.INFO.*.*", "CONSUMER.MSG.NEXT.*.*"),
        "$JS.ACK.>",
        *_api("DIRECT.GET.>", "STREAM.MSG.GET.*"),
        *purges,
        *kept,
        *buckets,
        *waits,
        *said,
        *told,
        *app.kept(),
    )


def heard_by_worker(app: App) -> tuple[str, ...]:
    """What a worker subscribes to, beside its inbox."""
    return (app.names.subject(f"{CANCEL}.*"), app.names.subject(f"{BLOCKED}.*"))


def of_sender(app: App) -> tuple[str, ...]:
    """The events that an app takes: its triggers, and what its workflows wait for."""
    return tuple(dict.fromkeys(app.kept()))


def answers(app: App, roles: Iterable[str], who: str, *, plain: bool) -> tuple[str, ...]:
    """Where somebody answers: under a name, and without one if `plain`."""
    own = app.names.subject
    named = [own(f"{role}.response.*.{who}") for role in roles]
    return (*named, *(own(f"{role}.response.*") for role in roles if plain))


def questions(app: App) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What reads the open questions: requests with many replies, requests with one."""
    return reads([app.names.bucket_stream("questions")])


def asked(app: App, roles: Iterable[str]) -> tuple[str, ...]:
    """What tells somebody of new questions, and of what became of answers."""
    own = app.names.subject
    return tuple(own(f"{role}.{noun}.*") for role in roles for noun in ("question", "receipt"))


def looks(app: App) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What looks at everything: requests with many replies, requests with one."""
    streams = sorted({*(spec.name for spec in app.topology().streams), app.names.stream(EVENTS)})
    many, single = reads(streams)
    return many, (*_api(*_LOOKS), *single)


def looking() -> tuple[str, ...]:
    """The same as an observer's permissions have it: what is not exported is not there anyway."""
    return _api(*_LOOKS, "DIRECT.GET.>")


def watched(app: App) -> tuple[str, ...]:
    """What tells of runs as they go on."""
    own = app.names.subject
    return (own("to.>"), own("events.*"), own("dead.>"), *asked(app, app.roles))


def of_operator(app: App) -> tuple[str, ...]:
    """What cancels and retries runs, purges old ones, and deals with dead letters."""
    own, names = app.names.subject, app.names
    buckets = [names.keys(name, ">") for name in ("runs", "questions", "parked", "blocked")]
    return (
        *_api(f"STREAM.MSG.DELETE.{names.stream('DEAD')}"),
        *_purges(app),
        own("to.>"),
        own(f"{CANCEL}.*"),
        own(f"{BLOCKED}.*"),
        *buckets,
        *of_sender(app),
    )


def reads(streams: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Direct gets from these streams: of a batch, and of a subject's last message."""
    batches = _api(*(f"DIRECT.GET.{stream}" for stream in streams))
    return batches, tuple(f"{each}.>" for each in batches)


def _purges(app: App) -> tuple[str, ...]:
    """What removes the runs that are over, and conversations."""
    streams = [*shares(app.log_streams), "BLOBS", "QUESTIONS", "TIMERS", "THREADS"]
    return _api(*(f"STREAM.PURGE.{app.names.stream(stream)}" for stream in streams))


def _api(*verbs: str) -> tuple[str, ...]:
    return tuple(f"{_API}{verb}" for verb in verbs)
