"""Errors of servers that speak OpenAI's APIs, explained to the person who has to act."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from ...runtime.blockers import MISSING_KEY
from .http import cut, disconnected, failed
from .model import ModelError

_ADVICE = {
    400: "{server} refused the request to {model}",
    401: "{server} does not accept the API key: set OPENAI_API_KEY to a valid one",
    402: "the account at {server} has a billing problem",
    403: "the API key may not use {model} at {server}",
    404: "{server} has no model {model}: check its name, and base_url if you set one",
    413: "the request to {model} is too large: send a shorter conversation or smaller tool results",
    422: "{server} refused the request to {model}",
    429: "the rate limit of {model} is reached",
}
_NO_QUOTA = "the account at {server} has no quota left: see its billing page"
NO_KEY = "there is no API key: set OPENAI_API_KEY, or pass api_key= to openai()"
_QUOTA = "insufficient_quota"
_STATUS_OF = {  # an error in mid-stream has no status of its own: the response began with 200
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "insufficient_quota": 402,
    **dict.fromkeys(
        (
            *("invalid_prompt", "data_residency_mismatch", "bio_policy", "image_too_large"),
            *("misalignment_policy_violation", "invalid_image", "invalid_image_format"),
            *("invalid_base64_image", "invalid_image_url", "image_too_small", "image_parse_error"),
            *("image_content_policy_violation", "invalid_image_mode", "image_file_too_large"),
            *("unsupported_image_media_type", "empty_image_file", "failed_to_download_image"),
            "image_file_not_found",
        ),
        400,
    ),
}


def explain(
    error: Exception, model: str, server: str, *, reading: bool, hide: Iterable[str] = ()
) -> ModelError | None:
    """The `ModelError` for an error of the SDK; None if the API did not cause it.

    Args:
        error: The SDK's error.
        model: The model's name.
        server: The server's name, for people.
        reading: Whether a response had begun, which the error then cut off.
        hide: Secrets that no message may contain.
    """
    names = {base.__name__ for base in type(error).__mro__}
    if "APIStatusError" in names:
        return _of_status(error, model, server, hide)
    if "APIConnectionError" in names and not reading:
        return disconnected(error, model, server, "OPENAI_BASE_URL")
    if "APIError" in names and getattr(error, "body", None):
        return _of_stream(error, model, server, hide)
    if reading:
        return cut(model, type(error).__name__)
    if "OpenAIError" in names and "api_key" in str(error):
        return ModelError(NO_KEY, need=MISSING_KEY)
    return None


def _of_status(error: Any, model: str, server: str, hide: Iterable[str]) -> ModelError:
    headers: Mapping[str, str] = error.response.headers
    none: Mapping[str, str] = {}
    details = _details(error.body)
    status = error.status_code
    advice = _ADVICE.get(status, f"{{server}} failed with status {status}")
    if _QUOTA in {error.code, details.get("code"), details.get("type")}:
        status, advice, headers = 402, _NO_QUOTA, none  # sent as 429, but waiting does not help
    return failed(
        advice.format(model=repr(model), server=server),
        status,
        headers,
        message=str(details.get("message") or ""),
        request_id=error.request_id or "",
        hide=hide,
    )


def _of_stream(error: Any, model: str, server: str, hide: Iterable[str]) -> ModelError:
    code = next((each for each in (error.code, error.type) if each in _STATUS_OF), "")
    return stream_error(code, str(error.message), model, server, hide=hide)


def stream_error(
    code: str, message: str, model: str, server: str, *, hide: Iterable[str] = ()
) -> ModelError:
    """The error for one that a server reported in the middle of its response."""
    if code == _QUOTA:
        return failed(_NO_QUOTA.format(server=server), 402, {}, message=message, hide=hide)
    advice = f"{server} broke off the response of {model!r}"
    return failed(advice, _STATUS_OF.get(code, 500), {}, message=message, hide=hide)


def _details(body: Any) -> dict[str, Any]:
    """The error object of the answer, which servers send with or without an envelope."""
    if not isinstance(body, dict):
        return {}
    inner = cast("dict[str, Any]", body).get("error", body)
    return cast("dict[str, Any]", inner) if isinstance(inner, dict) else {"message": inner}
