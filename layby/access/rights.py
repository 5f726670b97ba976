"""The subjects that each kind of login may use. Anything not listed here is denied."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ..actors.people.answer_subject import via_subject
from ..bus.layout import SAID
from ..bus.timers import DUE
from ..commands import STREAM as TRAIL
from ..operations.room import PROBE as ROOM
from ..operations.sequences import WORD as SKIPPED
from ..runtime.adoption import BLOCKED
from ..runtime.worker import CANCEL
from ..views.workers import BEAT
from .outline import Outline

_API: Final = "$JS.API."
_REMOVED: Final = ("BLOBS", "QUESTIONS", "TIMERS", "THREADS")
WHO: Final = "$SYS.REQ.USER.INFO"
"""Asks the server who the client is, and nothing about others."""
_OBSERVES: Final = (
    *("INFO", "STREAM.INFO.*", "STREAM.NAMES", "STREAM.MSG.GET.*"),
    *("CONSUMER.LIST.*", "CONSUMER.INFO.*.*"),
)


def of_provisioner(app: Outline) -> tuple[str, ...]:
    """What creates and verifies streams and consumers.

    The audit trail is never changed: a shorter age, or a limit, would remove entries.
    """
    trail = app.names.stream(TRAIL)
    return (
        *_api("STREAM.INFO.*", "STREAM.CREATE.*", "STREAM.NAMES"),
        *_api("CONSUMER.INFO.*.*", "CONSUMER.CREATE.*.>"),
        *_api(*(f"STREAM.UPDATE.{stream}" for stream in app.streams if stream != trail)),
    )


def of_worker(app: Outline) -> tuple[str, ...]:
    """What a worker publishes. It creates no streams; it removes what people command it to."""
    return (
        *_api("STREAM.INFO.*", "CONSUMER.INFO.*.*"),
        *("$JS.API.CONSUMER.MSG.NEXT.*.*", "$JS.ACK.>"),
        *_api("DIRECT.GET.>", "STREAM.MSG.GET.*"),
        *_purges(app),
        *_api(f"STREAM.MSG.DELETE.{app.names.stream('DEAD')}"),
        *_wipes(app),
        *app.kept,
        *(app.names.subject(f"{word}.*") for word in ("events", CANCEL, BLOCKED)),
        app.names.subject(f"{BEAT}.*"),
        *outcomes(app),
        *app.events,
    )


def _wipes(app: Outline) -> tuple[str, ...]:
    """What overwrites destroyed keys on disk, if runs are encrypted."""
    keys = app.names.bucket_stream("keys")
    return _api(f"STREAM.MSG.DELETE.{keys}") if keys in app.streams else ()


def outcomes(app: Outline) -> tuple[str, ...]:
    """What reports on commands: the outcome, and that a worker is working on one."""
    return tuple(app.names.subject(f"{word}.*.*") for word in ("layby.done", "layby.doing"))


def worker_subscriptions(app: Outline) -> tuple[str, ...]:
    """What a worker subscribes to, apart from its inbox."""
    return (app.names.subject(f"{CANCEL}.*"), app.names.subject(f"{BLOCKED}.*"))


def answers(app: Outline, roles: Iterable[str], who: str, *, plain: bool) -> tuple[str, ...]:
    """The subjects of what a person says: with their name, and of answers without it if `plain`."""
    own = app.names.subject
    named = [own(f"{role}.{noun}.*.{who}") for role in roles for noun in SAID]
    return (*named, *(own(f"{role}.response.*") for role in roles if plain))


def bridge_subjects(app: Outline, via: Iterable[str]) -> tuple[str, ...]:
    """The subjects of what a bridge takes in, in anybody's name."""
    return tuple(
        app.names.subject(via_subject(f"{role}.{noun}.*", "*", each))
        for role in app.roles
        for noun in SAID
        for each in via
    )


def questions(app: Outline) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What reads the open questions: requests with many replies, and requests with one."""
    return _reads([app.names.bucket_stream("questions")])


def question_subjects(app: Outline, roles: Iterable[str]) -> tuple[str, ...]:
    """The subjects of new questions and of the receipts of answers."""
    own = app.names.subject
    return tuple(own(f"{role}.{noun}.*") for role in roles for noun in ("question", "receipt"))


def of_backup() -> tuple[str, ...]:
    """What saves all streams of an account, and changes nothing."""
    return (
        *_api("INFO", "STREAM.NAMES", "STREAM.LIST", "STREAM.INFO.*"),
        *_api("CONSUMER.LIST.*", "STREAM.SNAPSHOT.*"),
        "$JS.SNAPSHOT.ACK.>",
    )


def of_restorer(app: Outline, streams: Iterable[str]) -> tuple[str, ...]:
    """What makes, changes and removes these streams, and what else a takeover stores."""
    names = app.names
    changed = tuple(streams)
    return (
        *_api("STREAM.LIST", *_OBSERVES, "DIRECT.GET.>"),
        # A stream that exists is neither created nor restored. A token names few subjects.
        *_api("STREAM.CREATE.*", "STREAM.RESTORE.*", "CONSUMER.CREATE.*.>", "CONSUMER.DELETE.*.*"),
        *_api(*(f"STREAM.{verb}.{each}" for each in changed for verb in ("UPDATE", "DELETE"))),
        *_api(f"STREAM.DELETE.{names.stream(ROOM)}"),
        "$JS.SNAPSHOT.RESTORE.*.*",
        *(names.subject(f"{word}.*") for word in (DUE, f"{SKIPPED}.*")),
        *("$JS.*.API.INFO", "$JS.*.API.STREAM.LIST"),
    )


def of_link(domain: str) -> tuple[str, ...]:
    """What mirrors need of the cluster that they mirror, and what asks whether it is up."""
    verbs = ("INFO", "STREAM.LIST", "STREAM.INFO.*", "CONSUMER.CREATE.>", "CONSUMER.DELETE.>")
    return (*(f"$JS.{domain}.API.{verb}" for verb in verbs), "$JS.FC.>")


def link_subscriptions(inboxes: Iterable[str]) -> tuple[str, ...]:
    """What a link to a standby carries: what mirrors receive, and replies to those who follow."""
    return (*(f"{inbox}.>" for inbox in inboxes), "$JS.M.>", "$JSC.R.>")


def of_observer(app: Outline, *, trail: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What reads everything: requests with many replies, and requests with one.

    With `trail`, the audit trail too, if it is in the account of the other streams.
    """
    own = app.names.stream(TRAIL)
    many, single = _reads(each for each in app.streams if trail or each != own)
    return many, (*_api(*_OBSERVES), *single)


def observer_permissions() -> tuple[str, ...]:
    """An observer's permissions, which may be wider: what is not exported cannot be reached."""
    return (*_api(*_OBSERVES, "DIRECT.GET.>"), WHO)


def watched(app: Outline) -> tuple[str, ...]:
    """The subjects that report on runs in progress."""
    own = app.names.subject
    runs = (own("to.>"), own("events.*"), own("dead.>"), own(f"{BEAT}.*"))
    lists = (app.names.keys("runs", "*.*"), app.names.keys("questions", "*.*.*"))
    return (*runs, *lists, *outcomes(app), *question_subjects(app, app.roles))


def of_operator(app: Outline, who: str) -> tuple[str, ...]:
    """What commands workers: the word after the verb is the person, and `*` is anyone."""
    return (app.names.subject(f"layby.do.*.{who}"),)


def _reads(streams: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Direct gets from these streams: of a batch, and of a subject's last message."""
    batches = _api(*(f"DIRECT.GET.{stream}" for stream in streams))
    return batches, tuple(f"{each}.>" for each in batches)


def _purges(app: Outline) -> tuple[str, ...]:
    """What removes ended runs, and conversations."""
    names = [*map(app.names.stream, _REMOVED), app.names.bucket_stream("keys")]
    streams = [*app.log_streams, *(name for name in names if name in app.streams)]
    return _api(*(f"STREAM.PURGE.{stream}" for stream in streams))


def _api(*verbs: str) -> tuple[str, ...]:
    return tuple(f"{_API}{verb}" for verb in verbs)
