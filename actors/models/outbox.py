"""What is sent to a model, as its adapter puts it on the wire."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

from ...runtime.redaction import MASK

_OF_THE_CALL = {"extra_headers", "extra_query", "timeout"}
"""Arguments of an SDK's function that are not in the body of the request."""
_SECRET = {
    *("api_key", "authorization", "authorization_token", "credentials", "headers", "password"),
    *("secret", "token"),
}
_CONTENT = {"messages", "input", "system", "instructions"}
"""Fields that hold what is said, not settings."""
_SCHEMAS = {"function", "input_schema", "json_schema", "parameters", "schema"}


class Outbox:
    """Keeps the newest request: the one that the response is for.

    Attributes:
        form: Whose form it has; empty: nothing was sent.
        body: The request's JSON object, without logins.
    """

    def __init__(self) -> None:
        self.form = ""
        self.body: Mapping[str, Any] = {}


_outbox: ContextVar[Outbox | None] = ContextVar("layby_outbox", default=None)


@contextmanager
def opened(outbox: Outbox | None) -> Generator[None]:
    """While the block runs, adapters put what they send into `outbox`, if there is one."""
    token = _outbox.set(outbox)
    try:
        yield
    finally:
        _outbox.reset(token)


def put(form: str, arguments: Mapping[str, Any]) -> None:
    """Keep a request, given the arguments of the SDK's function that sends it."""
    outbox = _outbox.get()
    if outbox is None:
        return
    body = {name: value for name, value in arguments.items() if name not in _OF_THE_CALL}
    body |= body.pop("extra_body", None) or {}
    outbox.form = form
    outbox.body = {
        name: value if name in _CONTENT else _without_logins(value) for name, value in body.items()
    }


def _without_logins(value: Any) -> Any:
    """Settings without the logins of servers to which the provider connects."""
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        return {name: _setting(name, each) for name, each in fields.items()}
    if isinstance(value, list):
        return [_without_logins(each) for each in cast("Any", value)]
    return value


def _setting(name: str, value: Any) -> Any:
    if name in _SCHEMAS:
        return value
    return MASK if name.lower() in _SECRET and value else _without_logins(value)
