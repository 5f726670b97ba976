"""The common part of the providers' HTTP errors: whether to retry, and how soon."""

from __future__ import annotations

import email.utils
import math
import time
from collections.abc import Iterable, Mapping

from ...runtime.blockers import REFUSED_KEY, SPENT_BUDGET, Need
from .model import ModelError

_SERVER_ERROR = 500
_BAD_REQUEST = {400, 413, 422}
_TRANSIENT = {408, 409, 429}
_SHOWN = 500
_NEEDS = {401: REFUSED_KEY, 402: SPENT_BUDGET, 403: REFUSED_KEY}


def failed(
    advice: str,
    status: int,
    headers: Mapping[str, str],
    *,
    message: str = "",
    request_id: str = "",
    hide: Iterable[str] = (),
) -> ModelError:
    """The error for a response with `status`.

    Args:
        advice: What happened, and what to do about it.
        status: The HTTP status, or the equivalent one of an error in mid-stream.
        headers: The response's headers.
        message: The provider's own message.
        request_id: The provider's id of the request.
        hide: Secrets that no message may contain.
    """
    for secret in hide:
        message = message.replace(secret, "**********")
    details = [message[:_SHOWN], f"(request {request_id})" if request_id else ""]
    retryable = is_retryable(status, headers)
    return ModelError(
        ": ".join([advice, *filter(None, details)]),
        retryable=retryable,
        need=None if retryable else need_by_status(status),
        retry_after=retry_after(headers) if retryable else None,
        bad_request=status in _BAD_REQUEST and not retryable,
    )


def cut(model: str, how: str = "without an error") -> ModelError:
    """The error for a response that ended before it was complete."""
    return ModelError(f"the response of {model} broke off ({how})", retryable=True)


def late(model: str, seconds: float) -> ModelError:
    """The error for a response that took too long."""
    return ModelError(f"{model} gave no complete response within {seconds:g} s", retryable=True)


def disconnected(error: Exception, model: str, server: str, variable: str) -> ModelError:
    """The error for a failed connection, without its cause: that of a bad header shows the key."""
    cause = type(error.__cause__ or error).__name__
    if cause in {"UnsupportedProtocol", "InvalidURL"}:
        return ModelError(
            f"the base URL is not an http:// or https:// URL: check base_url and {variable}"
        )
    if cause == "LocalProtocolError":
        return ModelError(
            "a header cannot be sent: check the API key for line breaks and odd characters"
        )
    if "Timeout" in cause:
        return ModelError(f"{model} did not answer in time ({cause})", retryable=True)
    return ModelError(f"{server} cannot be reached ({cause})", retryable=True)


def need_by_status(status: int) -> Need | None:
    """What people must fix after a response with `status`; None: nothing."""
    return _NEEDS.get(status)


def is_retryable(status: int, headers: Mapping[str, str]) -> bool:
    """Whether the same request may succeed later."""
    wished = headers.get("x-should-retry")  # the API knows best; the SDKs' own retries obey it too
    if wished in {"true", "false"}:
        return wished == "true"
    return status in _TRANSIENT or status >= _SERVER_ERROR


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait before a retry: an API may send milliseconds, seconds or a date."""
    milliseconds = _number(headers.get("retry-after-ms"))
    after = headers.get("retry-after", "")
    seconds = _number(after) if milliseconds is None else milliseconds / 1000
    if seconds is None and after:
        date = email.utils.parsedate_tz(after)
        seconds = None if date is None else email.utils.mktime_tz(date) - time.time()
    return seconds if seconds is not None and seconds > 0 else None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None
