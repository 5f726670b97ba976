"""A second cluster that mirrors the streams of the first, and takes over when that is lost.

A mirror has no consumers, and TIMERS cannot be mirrored. So after a takeover every message counts
as not handled: handlers see in the logs what has been done, and arm timers again. Commands
are the exception: those that have an outcome are not carried out again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ..app import App
from ..bus.errors import BusError, LaybyError, PermissionDenied, PublishUnconfirmed
from ..bus.inventory import DomainApi, info_of, own_streams
from ..bus.mirroring import can_be_mirrored, is_mirror, mirror_of, promoted
from ..bus.opened import opened
from ..bus.ownership import is_being_restored, restored, taken_over_from
from ..bus.reading import every
from ..bus.requests import Requests
from ..bus.settings import ConnectionSettings
from ..bus.specs import Begin
from ..bus.topology import Provisioner
from ..commands import ALL, STREAM
from ..runtime.times import iso
from ..views.apps import read_apps
from .rearming import look_after_timers
from .sequences import leave_out_lost

_QUICK: Final = 10.0
_NANOS: Final = 1_000_000_000
_SILENCE: Final = 10.0
"""Seconds without any reply after which the other cluster counts as gone. An election of those who
decide what streams there are takes less, and so does a link that comes back."""
_ASK_AGAIN: Final = 2.0
_PAUSE: Final = 0.2
_MARGIN: Final = 3600.0
"""Seconds by which the clocks here and of the other cluster may differ, at most."""
_NO_RESPONDERS: Final = "503"


class StandbyRefused(LaybyError):
    """A standby cannot be set up, or must not take over."""


class MirrorRow(msgspec.Struct, frozen=True, kw_only=True):
    """A mirror, and how far behind its source it is."""

    stream: str
    messages: int
    last_seq: int
    lag: int
    """Messages of the source that it lacks, as far as it knows."""
    silent: float | None
    """Seconds since it heard from its source; None: it never has."""
    made: bool = False
    """Whether this call made it."""


class Takeover(msgspec.Struct, frozen=True, kw_only=True):
    """What a takeover has changed."""

    promoted: tuple[str, ...]
    changes: tuple[str, ...]
    """What provisioning has created."""
    waiting: int
    """Runs that had not ended, whose timers the workers will arm."""


async def follow(
    settings: ConnectionSettings, domain: str, *, prefix: str = "", replicas: int = 1
) -> list[MirrorRow]:
    """Mirror all streams of an app in another domain; make those mirrors that are missing.

    Args:
        settings: The standby, and a user who may create streams there.
        domain: The JetStream domain of the cluster whose streams are mirrored.
        prefix: The prefix of the app's streams.
        replicas: How many copies each new mirror has.

    Raises:
        StandbyRefused: there is nothing to mirror, or a stream here is not a mirror.
        BusError: a server refuses, or the domain cannot be reached.
    """
    async with opened(settings, prefix=prefix) as bus:
        api = DomainApi(bus.requests, domain)
        try:
            sources = await own_streams(api)
        except BusError as error:
            raise StandbyRefused(
                f"the domain {domain!r} does not answer: {error}; check the leaf node, and "
                "`domain` in its configuration"
            ) from None
        if not sources:
            raise StandbyRefused(
                f"the domain {domain!r} holds no streams of an app: check --prefix"
            )
        rows: list[MirrorRow] = []
        for source in sources:
            config = source["config"]
            if can_be_mirrored(config):
                body = mirror_of(config, api.prefix, replicas)
                rows.append(await _mirror(bus.requests, body))
        return rows


async def _mirror(requests: Requests, body: dict[str, Any]) -> MirrorRow:
    """Make a mirror, or renew what it notes about its source."""
    stream = body["name"]
    info = await info_of(requests, stream)
    if info is None:
        made = await requests.api(f"STREAM.CREATE.{stream}", body, timeout=_QUICK)
        return _row(made, made=True)
    config: dict[str, Any] = info["config"]
    if not is_mirror(config):
        raise StandbyRefused(
            f"stream {stream} exists here and is not a mirror: a standby has no streams of its own"
        )
    kept = {"mirror": config["mirror"], "num_replicas": config["num_replicas"]}
    renewed = {**config, **body, **kept, "metadata": {**config["metadata"], **body["metadata"]}}
    if renewed == config:
        return _row(info)
    return _row(await requests.api(f"STREAM.UPDATE.{stream}", renewed, timeout=_QUICK))


def _row(info: dict[str, Any], *, made: bool = False) -> MirrorRow:
    mirror: dict[str, Any] = info.get("mirror") or {}
    active = int(mirror.get("active", -1))
    return MirrorRow(
        stream=info["config"]["name"],
        messages=int(info["state"]["messages"]),
        last_seq=int(info["state"]["last_seq"]),
        lag=int(mirror.get("lag", 0)),
        silent=None if active < 0 else round(active / _NANOS, 1),
        made=made,
    )


async def take_over(
    apps: Sequence[App],
    settings: ConnectionSettings,
    *,
    force: bool = False,
    gone: Sequence[str] = (),
) -> Takeover:
    """Turn the mirrors into streams and provision the apps, so that their workers can start.

    Args:
        apps: All apps whose streams they are; all have one prefix.
        settings: The standby, and a user who may change streams there.
        force: Do it even if the cluster that was mirrored answers.
        gone: The names of apps that no longer exist and need not be in `apps`.

    Raises:
        StandbyRefused: there are no mirrors, an app is missing, or the other cluster answers.
        BusError: it was interrupted. No worker starts until it is repeated and succeeds.
    """
    prefix = _prefix(apps)
    async with opened(settings, prefix=prefix) as bus:
        requests = bus.requests
        ours = [info["config"] for info in await own_streams(requests)]
        mirrors = [config for config in ours if is_mirror(config)]
        for config in ours:
            if is_being_restored(config):
                raise StandbyRefused(
                    f"stream {config['name']} belongs to a backup whose restore was interrupted: "
                    "run `layby restore` to its end; to take over, remove it, and run "
                    "`layby standby follow`, first"
                )
        others = {api for config in ours if (api := _other(config))}
        if not others:
            raise StandbyRefused("there are no mirrors here: nothing has to be taken over")
        is_trail = {config["name"] for config in ours} == {requests.names.stream(STREAM)}
        if not is_trail:
            await _check_trail(requests, ours)
            await _check_named(requests, apps, gone)
        if not force:
            await _check_gone(requests, others)
        for config in mirrors:
            await _update(requests, promoted(config))
        if is_trail:
            return await _admit(requests, mirrors)
        await leave_out_lost(apps, settings, requests)
        sequences = {requests.names.stream(STREAM): await _first_command(requests)}
        copies = max(config["num_replicas"] for config in ours)
        changes: list[str] = []
        for app in apps:
            begin = Begin(sequences=sequences, times=_first_events(app, time.time()))
            provisioner = Provisioner(requests, replicas=copies, begin=begin)
            changes += await provisioner.ensure(app.topology())
        waiting = await look_after_timers(requests)
        return await _admit(requests, mirrors, changes, waiting)


async def _admit(
    requests: Requests,
    mirrors: Sequence[dict[str, Any]],
    changes: Sequence[str] = (),
    waiting: int = 0,
) -> Takeover:
    """Remove the marks that keep workers from the streams."""
    for info in await own_streams(requests):
        if taken_over_from(info["config"]):
            await _update(requests, restored(info["config"]))
    names = tuple(config["name"] for config in mirrors)
    return Takeover(promoted=names, changes=tuple(changes), waiting=waiting)


async def _check_trail(requests: Requests, ours: Sequence[dict[str, Any]]) -> None:
    """Refuse to begin with an audit trail, in an account of its own, that is a mirror still."""
    trail = requests.names.stream(STREAM)
    if trail in {config["name"] for config in ours}:
        return
    info = await info_of(requests, trail)
    if info is not None and (is_mirror(info["config"]) or taken_over_from(info["config"])):
        raise StandbyRefused(
            f"the audit trail {trail} is in an account of its own, and mirrors the other cluster "
            "still: run this first with a login of that account, and then again with this one"
        )


def _prefix(apps: Sequence[App]) -> str:
    prefixes = {app.prefix for app in apps}
    if len(prefixes) != 1:
        raise StandbyRefused("the apps have different prefixes: take over those of one at a time")
    return prefixes.pop()


def _other(config: dict[str, Any]) -> str:
    """The API of the cluster from which a stream is mirrored or taken over; empty: from none."""
    if is_mirror(config):
        return str(config["mirror"]["external"]["api"])
    return taken_over_from(config)


async def _check_named(requests: Requests, apps: Sequence[App], gone: Sequence[str]) -> None:
    """Refuse to leave out an app, whose consumers would then begin with new messages only."""
    declared = {row.name for row in await read_apps(requests)}
    left_out = sorted(declared - {app.name for app in apps} - set(gone))
    if left_out:
        raise StandbyRefused(
            f"these apps have run here too: {', '.join(left_out)}. Name all of them, for the "
            "events of one that is left out are lost to it; `--gone NAME` if it is no more"
        )


async def _check_gone(requests: Requests, others: set[str]) -> None:
    """Refuse to take over while the other cluster answers."""
    for api in others:
        if await _answers(requests, f"{api}.INFO"):
            raise StandbyRefused(
                f"the cluster that is mirrored answers on {api}: two clusters with the same runs "
                "would both do their work. Stop it, or cut it off, or use --force"
            )


async def _answers(requests: Requests, subject: str) -> bool:
    """Whether anything comes back from the other cluster; a refusal, too, shows that it is up.

    Raises:
        StandbyRefused: this user may not ask.
        NotConnected: the standby itself is gone, so nothing is known.
    """
    clock = asyncio.get_running_loop().time
    until = clock() + _SILENCE
    while (left := until - clock()) > 0:
        try:
            reply = await requests.request(subject, timeout=min(_ASK_AGAIN, left))
        except PermissionDenied as error:
            raise StandbyRefused(
                f"whether the other cluster is gone cannot be asked: {error}. Allow this user to "
                f"publish to {subject} and to subscribe to its inbox, or use --force"
            ) from None
        except PublishUnconfirmed:
            continue
        if reply.status != _NO_RESPONDERS:
            return True
        await asyncio.sleep(_PAUSE)  # no link leads there now; it may come back
    return False


async def _update(requests: Requests, config: dict[str, Any]) -> None:
    await requests.api(f"STREAM.UPDATE.{config['name']}", config, timeout=_QUICK)


def _first_events(app: App, now: float) -> dict[str, str]:
    """From when on events start runs, by consumer; where runs are kept for ever, all do.

    The event of a run that was removed, and is in no log, is older than runs are kept.
    """
    kept = app.retentions()
    return {
        spec.name: iso(now - kept[duty.of] + min(_MARGIN, kept[duty.of] / 10))
        for spec, duty in app.mailboxes()
        if duty.kind == "events" and duty.of in kept
    }


async def _first_command(requests: Requests) -> int:
    """The first command without an outcome; the one after the last if all have one."""
    names, stream = requests.names, requests.names.stream(STREAM)
    info = await info_of(requests, stream)
    if info is None:
        return 1
    done = {
        message.headers["Nats-Subject"].rpartition(".")[2]
        async for message in every(requests, stream, names.subject("layby.done.*.*"))
    }
    async for message in every(requests, stream, names.subject(ALL)):
        if (seq := message.headers["Nats-Sequence"]) not in done:
            return int(seq)
    return int(info["state"]["last_seq"]) + 1
