"""Errors of Slack's Web API, explained to the person who has to act. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ....runtime.channel import ChannelError, Undeliverable
from ....runtime.untrusted_text import safe
from .slack_json import as_object, text_of

_TOO_LONG: Final = frozenset({"invalid_blocks", "msg_blocks_too_long", "msg_too_long"})
_BOT: Final = "set SLACK_BOT_TOKEN to the token under OAuth & Permissions"
_APP: Final = "set SLACK_APP_TOKEN to an app-level token with the scope connections:write"
SOCKET: Final = "apps.connections.open"
"""The method that takes the other token."""
_INVITE: Final = "invite the app there: /invite @layby"
_GONE: Final = "the message was deleted or cannot be changed any more"
_PERMANENT: Final = {
    "account_inactive": f"the app was removed from the workspace: install it, and {_BOT}",
    "cant_update_message": _GONE,
    "channel_not_found": f"the app sees no such channel: check its name, or {_INVITE}",
    "edit_window_closed": _GONE,
    "invalid_auth": f"Slack does not know the token: {_BOT}",
    "invalid_blocks": "Slack does not take this message",
    "is_archived": "the channel is archived: unarchive it, or give the role another one",
    "message_not_found": _GONE,
    "missing_scope": "the app lacks a scope: add it under OAuth & Permissions, and reinstall it",
    "msg_blocks_too_long": "the message is too long",
    "msg_too_long": "the message is too long",
    "not_allowed_token_type": f"the token is of another kind: {_BOT}",
    "not_authed": f"there is no token: {_BOT}",
    "not_in_channel": f"the app is not in the channel: {_INVITE}",
    "restricted_action": "the workspace does not let the app post there: ask an administrator",
    "thread_not_found": _GONE,
    "token_expired": f"the token has expired: {_BOT}",
    "token_revoked": f"the token was revoked: {_BOT}",
}
_SLOWLY: Final = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_PATIENCE: Final = 30.0
_LONGEST_WAIT: Final = 3_600.0
_TOO_MANY: Final = 429
_SHOWN: Final = 60


class TooLong(Undeliverable):
    """Slack has refused a message for its size."""


def explained(method: str, status: int, headers: Mapping[str, str], data: object) -> ChannelError:
    """The error for a response of Slack that is not `ok`.

    Args:
        method: What was called: `chat.postMessage`.
        status: The HTTP status.
        headers: The headers of the response.
        data: Its body; anything if Slack, or a proxy, failed.
    """
    found = as_object(data)
    code = safe(text_of(found, "error"))[:_SHOWN]
    if status == _TOO_MANY or code in _SLOWLY:
        wait = _seconds(headers.get("Retry-After"))
        return ChannelError(f"Slack asks to wait {wait:g} s ({method})", retry_after=wait)
    if code in _PERMANENT:
        needed = text_of(found, "needed")
        scope = f" (scope {safe(needed)[:_SHOWN]})" if needed else ""
        kind = TooLong if code in _TOO_LONG else Undeliverable
        advice = _PERMANENT[code]
        if method == SOCKET:
            advice = advice.replace(_BOT, _APP)
        return kind(f"Slack refused {method}: {code}: {advice}{scope}")
    what = code or f"HTTP status {status}"
    return ChannelError(f"Slack refused {method} for now: {what}")


def unreachable(method: str, error: BaseException) -> ChannelError:
    """The error for a request that got no response."""
    return ChannelError(f"Slack cannot be reached ({method}): {type(error).__name__}")


def _seconds(text: str | None) -> float:
    """Seconds for which Slack wants no requests."""
    try:
        wait = float(text or "")
    except ValueError:
        wait = _PATIENCE
    return min(max(wait, 1.0), _LONGEST_WAIT) if wait == wait else _PATIENCE  # noqa: PLR0124  NaN
