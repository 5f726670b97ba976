"""What each kind of login needs of an app, in subjects. Nothing that is not here is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ..commands import STREAM as TRAIL
from ..runtime.taking_up import BLOCKED
from ..runtime.worker import CANCEL
from .outline import Outline

_API: Final = "$JS.API."
_REMOVED: Final = ("BLOBS", "QUESTIONS", "TIMERS", "THREADS")
_WHO: Final = "$SYS.REQ.USER.INFO"
"""Asks the server who one is, and nothing about others."""
_LOOKS: Final = (
    *("INFO", "STREAM.INFO.*", "STREAM.NAMES", "STREAM.MSG.GET.*"),
    *("CONSUMER.LIST.*", "CONSUMER.INFO.*.*"),
)


def of_provisioner(app: Outline) -> tuple[str, ...]:
    """What makes streams and consumers, or verifies them.

    The trail of commands is never changed: a shorter age, or a limit, would remove what is in it.
    """
    trail = app.names.stream(TRAIL)
    return (
        *_api("STREAM.INFO.*", "STREAM.CREATE.*", "STREAM.NAMES"),
        *_api("CONSUMER.INFO.*.*", "CONSUMER.CREATE.*.>"),
        *_api(*(f"STREAM.UPDATE.{stream}" for stream in app.streams if stream != trail)),
    )


def of_worker(app: Outline) -> tuple[str, ...]:
    """What a worker publishes. It creates nothing; what people have removed, it removes."""
    return (
        *_api("STREAM.INFO.*", "CONSUMER.INFO.*.*"),
        *("$JS.API.CONSUMER.MSG.NEXT.*.*", "$JS.ACK.>"),
        *_api("DIRECT.GET.>", "STREAM.MSG.GET.*"),
        *_purges(app),
        *_api(f"STREAM.MSG.DELETE.{app.names.stream('DEAD')}"),
        *_wipes(app),
        *app.kept,
        *(app.names.subject(f"{word}.*") for word in ("events", CANCEL, BLOCKED)),
        *outcomes(app),
        *app.events,
    )


def _wipes(app: Outline) -> tuple[str, ...]:
    """What writes over destroyed keys on the disk, where runs are encrypted."""
    keys = app.names.bucket_stream("keys")
    return _api(f"STREAM.MSG.DELETE.{keys}") if keys in app.streams else ()


def outcomes(app: Outline) -> tuple[str, ...]:
    """What tells of commands: what came of one, and that a worker is at one."""
    return tuple(app.names.subject(f"{word}.*.*") for word in ("layby.done", "layby.doing"))


def heard_by_worker(app: Outline) -> tuple[str, ...]:
    """What a worker subscribes to, beside its inbox."""
    return (app.names.subject(f"{CANCEL}.*"), app.names.subject(f"{BLOCKED}.*"))


def answers(app: Outline, roles: Iterable[str], who: str, *, plain: bool) -> tuple[str, ...]:
    """Where somebody answers: under a name, and without one if `plain`."""
    own = app.names.subject
    named = [own(f"{role}.response.*.{who}") for role in roles]
    return (*named, *(own(f"{role}.response.*") for role in roles if plain))


def questions(app: Outline) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What reads the open questions: requests with many replies, requests with one."""
    return _reads([app.names.bucket_stream("questions")])


def asked(app: Outline, roles: Iterable[str]) -> tuple[str, ...]:
    """What tells of new questions, and of what became of answers."""
    own = app.names.subject
    return tuple(own(f"{role}.{noun}.*") for role in roles for noun in ("question", "receipt"))


def looks(app: Outline) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What looks at everything: requests with many replies, requests with one."""
    many, single = _reads(app.streams)
    return many, (*_api(*_LOOKS), *single)


def looking() -> tuple[str, ...]:
    """The same as permissions have it: what is not exported is not there anyway."""
    return (*_api(*_LOOKS, "DIRECT.GET.>"), _WHO)


def watched(app: Outline) -> tuple[str, ...]:
    """What tells of runs as they go on."""
    own = app.names.subject
    told = (own("to.>"), own("events.*"), own("dead.>"))
    return (*told, *outcomes(app), *asked(app, app.roles))


def of_operator(app: Outline, who: str) -> tuple[str, ...]:
    """What commands workers: the word after the verb is who, and `*` is anybody."""
    return (app.names.subject(f"layby.do.*.{who}"),)


def _reads(streams: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Direct gets from these streams: of a batch, and of a subject's last message."""
    batches = _api(*(f"DIRECT.GET.{stream}" for stream in streams))
    return batches, tuple(f"{each}.>" for each in batches)


def _purges(app: Outline) -> tuple[str, ...]:
    """What removes the runs that are over, and conversations."""
    names = [*map(app.names.stream, _REMOVED), app.names.bucket_stream("keys")]
    streams = [*app.log_streams, *(name for name in names if name in app.streams)]
    return _api(*(f"STREAM.PURGE.{stream}" for stream in streams))


def _api(*verbs: str) -> tuple[str, ...]:
    return tuple(f"{_API}{verb}" for verb in verbs)
