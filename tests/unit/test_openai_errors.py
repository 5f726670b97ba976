"""Errors of servers that speak OpenAI's APIs, as the person who has to act reads them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from layby.actors.models.openai_errors import explain, stream_error
from layby.models import ModelError
from layby.runtime.blockers import MISSING_KEY, REFUSED_KEY, SPENT_BUDGET

WAIT = {"retry-after": "7"}


class OpenAIError(Exception):
    """As the SDK names it."""


class APIError(OpenAIError):
    """As the SDK names it."""

    def __init__(self, body: Any = None, code: str | None = None, type: str | None = None) -> None:  # noqa: A002
        super().__init__("raw")
        self.message = "because"
        self.body = body
        self.code = code
        self.type = type


class APIStatusError(APIError):
    """As the SDK names it."""

    def __init__(self, status: int, body: Any = None, **more: Any) -> None:
        super().__init__(body, **more)
        self.status_code = status
        self.response = SimpleNamespace(headers=WAIT)
        self.request_id: str | None = None


class APIConnectionError(APIError):
    """As the SDK names it."""


def explained(error: Exception, *, reading: bool = False, hide: tuple[str, ...] = ()) -> ModelError:
    found = explain(error, "gpt", "OpenAI", reading=reading, hide=hide)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("status", "said", "need"),
    [
        (400, "OpenAI refused the request to 'gpt'", None),
        (401, "set OPENAI_API_KEY to a valid one", REFUSED_KEY),
        (402, "the account at OpenAI has a billing problem", SPENT_BUDGET),
        (403, "the API key may not use 'gpt' at OpenAI", REFUSED_KEY),
        (404, "OpenAI has no model 'gpt': check its name, and base_url", None),
        (413, "send a shorter conversation", None),
        (422, "OpenAI refused the request to 'gpt'", None),
        (429, "the rate limit of 'gpt' is reached", None),
        (503, "OpenAI failed with status 503", None),
    ],
)
def test_each_status_says_what_to_do(status: int, said: str, need: Any) -> None:
    error = explained(APIStatusError(status, {"message": "because"}))
    assert said in str(error)
    assert str(error).endswith(": because")
    assert error.need is need
    assert error.retry_after == (7 if error.retryable else None)


@pytest.mark.parametrize(
    "error",
    [
        APIStatusError(429, {}, code="insufficient_quota"),
        APIStatusError(429, {"code": "insufficient_quota"}),
        APIStatusError(429, {"error": {"type": "insufficient_quota"}}),
    ],
)
def test_waiting_does_not_help_an_account_without_quota(error: Exception) -> None:
    found = explained(error)
    assert "no quota left: see its billing page" in str(found)
    assert (found.retryable, found.retry_after, found.need) == (False, None, SPENT_BUDGET)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "Oh"}}, ": Oh"),
        ({"message": "Oh"}, ": Oh"),
        ({"error": "Oh"}, ": Oh"),
        ({"error": {"message": None}}, ""),
        ("<html>", ""),
        ([], ""),
        (None, ""),
    ],
)
def test_servers_send_their_message_in_several_forms(body: Any, message: str) -> None:
    assert str(explained(APIStatusError(502, body))) == f"OpenAI failed with status 502{message}"


def test_the_id_of_a_request_is_shown_to_report_it() -> None:
    error = APIStatusError(500, None)
    error.request_id = "req_7"
    assert "(request req_7)" in str(explained(error))


def test_a_secret_in_the_servers_message_is_not_shown() -> None:
    error = APIStatusError(401, {"message": "bad key sk-1"})
    assert "sk-1" not in str(explained(error, hide=("sk-1",)))


@pytest.mark.parametrize(
    ("code", "type", "retryable", "bad_request"),
    [
        ("rate_limit_exceeded", None, True, False),
        ("odd", "rate_limit_error", True, False),
        ("context_length_exceeded", None, False, True),
        ("image_too_large", None, False, True),
        (None, "invalid_request_error", False, True),
        ("server_error", None, True, False),
        (None, None, True, False),
    ],
)
def test_an_error_in_the_middle_of_a_response_is_judged_by_its_code_or_type(
    code: str | None,
    type: str | None,  # noqa: A002
    *,
    retryable: bool,
    bad_request: bool,
) -> None:
    error = explained(APIError({"a": 1}, code, type), reading=True)
    assert str(error) == "OpenAI broke off the response of 'gpt': because"
    assert (error.retryable, error.bad_request) == (retryable, bad_request)


def test_quota_may_run_out_in_the_middle_of_a_response() -> None:
    error = stream_error("insufficient_quota", "pay sk-1", "gpt", "OpenAI", hide=["sk-1"])
    assert "see its billing page" in str(error)
    assert "sk-1" not in str(error)
    assert (error.retryable, error.need) == (False, SPENT_BUDGET)


def test_what_breaks_off_a_response_is_not_a_failed_connection() -> None:
    assert "broke off (APIConnectionError)" in str(explained(APIConnectionError(), reading=True))
    assert "OpenAI cannot be reached" in str(explained(APIConnectionError()))


def test_any_error_while_reading_is_a_response_that_broke_off() -> None:
    error = explained(ValueError("cut"), reading=True)
    assert str(error) == "the response of gpt broke off (ValueError)"
    assert error.retryable


def test_without_a_key_people_are_told_which_variable_to_set() -> None:
    error = explained(OpenAIError("The api_key client option must be set"))
    assert "set OPENAI_API_KEY" in str(error)
    assert error.need is MISSING_KEY


@pytest.mark.parametrize("error", [OpenAIError("other"), ValueError("api_key"), APIError()])
def test_a_mistake_of_the_program_stays_what_it_is(error: Exception) -> None:
    assert explain(error, "gpt", "OpenAI", reading=False) is None
