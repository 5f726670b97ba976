"""Writes down what an app declares, so that people can send events without its code."""

from __future__ import annotations

import inspect
import time
from typing import Any, Final

import msgspec
import structlog

from ..actors.workflows.workflow import Workflow
from ..app import App
from ..bus.bucket import Bucket
from ..bus.errors import BusError
from ..bus.requests import Requests
from ..bus.token import encode
from ..runtime.errors import InvalidSetup
from ..runtime.forms import schema_of
from ..runtime.times import iso
from ..views.apps import BUCKET, AppRow, WorkflowRow, decode

log = structlog.get_logger("layby.worker")

_MOST: Final = 256 * 1024
"""Bytes of a declaration; a larger one goes without the schemas of its events."""
_LONGEST: Final = 500


async def declare(app: App, requests: Requests, fingerprint: str) -> None:
    """Write down what `app` declares, unless it is there already. A refusal is only logged."""
    bucket, key = Bucket(requests, BUCKET), encode(app.name)
    row = declaration(app, fingerprint)
    try:
        item = await bucket.get(key)
        if item is not None and _same(item.read(decode), row):
            return
        await bucket.put(key, _encoded(row))
    except BusError as error:
        log.warning("app.not_declared", app=app.name, error=str(error))


def declaration(app: App, fingerprint: str = "") -> AppRow:
    """What `app` declares."""
    return AppRow(
        name=app.name,
        fingerprint=fingerprint,
        roles=list(app.roles),
        workflows=[_workflow(each) for each in app.workflows.values()],
        events=list(app.events),
        agents=[agent.name for agent in app.agents.values()],
        networks=list(app.networks),
        declared_at=iso(time.time()),
    )


def _workflow(workflow: Workflow) -> WorkflowRow:
    text = inspect.getdoc(workflow.fn) or ""
    return WorkflowRow(
        name=workflow.name,
        on=workflow.on,
        key=workflow.key,
        description=" ".join(text.partition("\n\n")[0].split())[:_LONGEST],
        form=_form(workflow.event_type),
    )


def _form(type_: Any) -> dict[str, Any] | None:
    """The JSON Schema of an event's type; None if it says nothing, or there is none."""
    try:
        form = schema_of(type_)
    except (InvalidSetup, TypeError, ValueError):
        try:
            form = msgspec.json.schema(type_)
        except (TypeError, ValueError):
            return None
    says = {"properties", "$ref", "anyOf", "oneOf", "allOf", "$defs"} & form.keys()
    return form if says else None


def _same(before: AppRow | None, now: AppRow) -> bool:
    return before is not None and before == msgspec.structs.replace(
        now, declared_at=before.declared_at
    )


def _encoded(row: AppRow) -> bytes:
    data = msgspec.json.encode(row)
    if len(data) <= _MOST:
        return data
    bare = [msgspec.structs.replace(each, form=None) for each in row.workflows]
    return msgspec.json.encode(msgspec.structs.replace(row, workflows=bare))
