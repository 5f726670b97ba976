"""Errors of Anthropic's API, explained to the person who has to act."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...runtime.blockers import MISSING_KEY
from .http import cut, disconnected, failed
from .model import ModelError

_STATUS_OF = {  # an error in mid-stream has no status of its own: the response began with 200
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_ADVICE = {
    400: "Anthropic refused the request to {model}",
    401: "Anthropic does not accept the API key: set ANTHROPIC_API_KEY to a valid one",
    402: "the Anthropic account has a billing problem: see its billing page in the console",
    403: "the API key may not use {model}: check the key's workspace and permissions",
    404: "Anthropic has no model {model}: check its name, and base_url if you set one",
    413: "the request to {model} is too large: send a shorter conversation or smaller tool results",
    429: "the rate limit of {model} is reached",
    529: "Anthropic is overloaded",
}
NO_KEY = "there is no API key: set ANTHROPIC_API_KEY, or pass api_key= to anthropic()"
_NO_CREDIT = "credit balance is too low"
_CLIENT_ERROR = 400


def explain(
    error: Exception, model: str, *, reading: bool, hide: Iterable[str] = ()
) -> ModelError | None:
    """The `ModelError` for an error of the SDK; None if the API did not cause it.

    Args:
        error: The SDK's error.
        model: The model's name.
        reading: Whether a response had begun, which the error then cut off.
        hide: Secrets that no message may contain.
    """
    names = {base.__name__ for base in type(error).__mro__}
    if "APIStatusError" in names:
        return _of_status(error, model, hide)
    if reading:
        return cut(model, type(error).__name__)
    if "APIConnectionError" in names:
        return disconnected(error, model, "Anthropic", "ANTHROPIC_BASE_URL")
    if "CredentialsError" in names:
        message = f"there is no API key: set ANTHROPIC_API_KEY (the SDK says: {error})"
        return ModelError(message, need=MISSING_KEY)
    if isinstance(error, TypeError) and "authentication method" in str(error):
        return ModelError(NO_KEY, need=MISSING_KEY)
    return None


def _of_status(error: Any, model: str, hide: Iterable[str]) -> ModelError:
    details = _details(error.body)
    status: int = error.status_code
    if status < _CLIENT_ERROR:
        status = _STATUS_OF.get(details.get("type", ""), 500)
    if status == _CLIENT_ERROR and _NO_CREDIT in str(details.get("message") or "").lower():
        status = _STATUS_OF["billing_error"]  # sent as 400, but it is not the request's fault
    headers: Mapping[str, str] = error.response.headers
    advice = _ADVICE.get(status, f"Anthropic failed with status {status}").format(model=repr(model))
    return failed(
        advice,
        status,
        headers,
        message=str(details.get("message") or ""),
        request_id=headers.get("request-id", ""),
        hide=hide,
    )


def _details(body: Any) -> dict[str, Any]:
    """The `error` object of the API's answer, or an empty one: a proxy may answer anything."""
    try:
        details: dict[str, Any] = dict(body["error"])
    except (TypeError, KeyError, ValueError):
        return {}
    return details
