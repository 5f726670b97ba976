"""The event that a person writes on the page Send: as a form, or as JSON."""

from __future__ import annotations

import json
import shlex
from typing import Any, Final, NamedTuple

import msgspec
from starlette.datastructures import ImmutableMultiDict

from ..forms.field import Field
from ..forms.form import Form, posted
from .send_starts import Start

LONGEST: Final = 512 * 1024
"""Bytes of an event that the page sends, at most."""
_FRESH: Final = "{\n  \n}"


class Written(NamedTuple):
    """What has been written so far."""

    mode: str
    """`form` or `json`."""
    field: Field | None
    text: str
    """The JSON text of the event; empty where the form is not filled in yet."""
    event_id: str
    subject: str
    wrong: str = ""
    """Why it cannot be sent; the form says itself what is wrong with its fields."""
    body: bytes | None = None
    """What is sent; None if something is wrong."""

    @property
    def layby(self) -> str:
        """The same from a terminal."""
        more = f" --id {shlex.quote(self.event_id)}" if self.event_id else ""
        return f"layby send {shlex.quote(self.subject or 'SUBJECT')} {self._quoted}{more}"

    @property
    def nats(self) -> str:
        """The same with the nats CLI."""
        more = f" -H Nats-Msg-Id:{shlex.quote(self.event_id)}" if self.event_id else ""
        return f"nats pub -J{more} {shlex.quote(self.subject or 'SUBJECT')} {self._quoted}"

    @property
    def _quoted(self) -> str:
        if self.body is None:
            return "'{…}'"
        return shlex.quote(msgspec.json.format(self.body, indent=-1).decode())


def fresh(start: Start | None, mode: str, value: str = "") -> Written:
    """Nothing written yet, or `value`."""
    subject = start.subject if start else ""
    decoded, wrong = _decoded(value) if value else (None, "")
    body = value.encode() if value and not wrong else None
    if start is None or start.schema is None or mode == "json":
        return Written("json", None, value or _FRESH, "", subject, wrong, body)
    form = Form(start.schema)
    field = form.filled(decoded) if value and not wrong else form.fresh()
    return Written("form", field, "", "", subject, wrong, body)


def read(start: Start | None, given: ImmutableMultiDict[str, str]) -> Written:
    """What was posted."""
    subject = start.subject if start else given.get("subject", "").strip()
    event_id = given.get("event_id", "").strip()
    if start is not None and start.schema is not None and given.get("as") == "form":
        return _read_form(Form(start.schema), given, event_id, subject)
    return _read_json(start, given, event_id, subject)


def _read_form(
    form: Form, given: ImmutableMultiDict[str, str], event_id: str, subject: str
) -> Written:
    typed = posted(given.multi_items())
    if form.changed(typed) is not None:
        return Written("form", form.drawn(typed), "", event_id, subject)
    entered = form.read(typed)
    show = given.get("show", "")
    if not entered.is_valid:
        if show == "json":
            return Written("json", None, _FRESH, event_id, subject)
        errors = {} if show else entered.errors
        return Written("form", form.drawn(typed, errors), "", event_id, subject)
    body = msgspec.json.encode(entered.value)
    text = json.dumps(entered.value, indent=2, ensure_ascii=False)
    if show == "json":
        return Written("json", None, text, event_id, subject, body=body)
    return Written("form", form.drawn(typed), text, event_id, subject, body=body)


def _read_json(
    start: Start | None, given: ImmutableMultiDict[str, str], event_id: str, subject: str
) -> Written:
    text = given.get("json", "").replace("\r\n", "\n")
    decoded, wrong = _decoded(text)
    if given.get("show") == "form" and start is not None and start.schema is not None:
        form = Form(start.schema)
        field = form.fresh() if wrong else form.filled(decoded)
        return Written("form", field, text, event_id, subject)
    body = None if wrong else text.encode()
    return Written("json", None, text, event_id, subject, wrong, body)


def _decoded(text: str) -> tuple[Any, str]:
    if len(text.encode(errors="replace")) > LONGEST:
        return None, f"It is too large: an event has at most {LONGEST // 1024} KiB."
    try:
        return msgspec.json.decode(text.encode()), ""
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        return None, f"It is not JSON: {error}"
