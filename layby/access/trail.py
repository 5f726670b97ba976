"""The services that the account of the audit trail exports; no worker logs in to it.

In the API, a stream of another account has the same name as one's own. So requests about the trail
are mapped to subjects that begin with `$TRAIL.`, which are imported from its account: clients need
not know about it, and requests that are not listed here reach nothing.
"""

from __future__ import annotations

from ..bus.api_subject import API, TRAIL_API
from ..commands import ALL, CONSUMER, STREAM
from .account import Service
from .login import TRAIL
from .outline import Outline


def reads(app: Outline) -> tuple[Service, ...]:
    """Requests that read the trail."""
    stream = app.names.stream(STREAM)
    return (
        _api_request(f"DIRECT.GET.{stream}", many=True),
        _api_request(f"DIRECT.GET.{stream}.>"),
        _api_request(f"STREAM.MSG.GET.{stream}"),
        _api_request(f"CONSUMER.LIST.{stream}"),
        *verifies(app),
    )


def verifies(app: Outline) -> tuple[Service, ...]:
    """Requests that check whether the trail exists, and how it is configured."""
    stream = app.names.stream(STREAM)
    return (
        _api_request(f"STREAM.INFO.{stream}"),
        _api_request(f"CONSUMER.INFO.{stream}.{CONSUMER}"),
    )


def creates(app: Outline) -> tuple[Service, ...]:
    """Requests that create the trail. They cannot change an existing one."""
    stream = app.names.stream(STREAM)
    return (
        _api_request(f"STREAM.CREATE.{stream}"),
        _api_request(f"CONSUMER.CREATE.{stream}.{CONSUMER}.>"),
    )


def takes(app: Outline) -> tuple[Service, ...]:
    """Requests that take commands from it, and add their outcome."""
    place = f"{app.names.stream(STREAM)}.{CONSUMER}"
    return (
        _api_request(f"CONSUMER.MSG.NEXT.{place}", many=True),
        Service(f"$JS.ACK.{place}.>", account=TRAIL),
        Service(app.names.subject("layby.done.*.*"), account=TRAIL),
    )


def commands(app: Outline) -> tuple[Service, ...]:
    """Requests that add a command to it."""
    return (Service(app.names.subject(ALL), account=TRAIL),)


def _api_request(verb: str, *, many: bool = False) -> Service:
    return Service(f"{API}{verb}", many=many, account=TRAIL, local=f"{TRAIL_API}{verb}")
