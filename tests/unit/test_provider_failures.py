"""What a provider's failure means: whether to ask again, when, and what people must fix."""

from __future__ import annotations

import email.utils
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layby.actors.models.combined import (
    _all_failed as all_failed,  # pyright: ignore[reportPrivateUsage]
)
from layby.actors.models.http import (
    cut,
    disconnected,
    failed,
    is_retryable,
    late,
    need_by_status,
    retry_after,
)
from layby.actors.models.model import ModelError
from layby.actors.models.openai_errors import stream_error
from layby.runtime.blockers import REFUSED_KEY, SPENT_BUDGET
from tests.examples import examples


@pytest.mark.parametrize(
    ("status", "retryable", "bad_request"),
    [
        (400, False, True),
        (401, False, False),
        (402, False, False),
        (404, False, False),
        (408, True, False),
        (409, True, False),
        (413, False, True),
        (422, False, True),
        (429, True, False),
        (499, False, False),
        (500, True, False),
        (529, True, False),
    ],
)
def test_a_status_says_whether_asking_again_may_help(
    status: int, *, retryable: bool, bad_request: bool
) -> None:
    error = failed("it failed", status, {"retry-after": "7"})
    assert (error.retryable, error.bad_request) == (retryable, bad_request)
    assert error.retry_after == (7.0 if retryable else None)


@pytest.mark.parametrize(
    ("status", "wished", "retryable"),
    [(500, "false", False), (400, "true", True), (500, "maybe", True), (400, "TRUE", False)],
)
def test_the_provider_knows_best(status: int, wished: str, *, retryable: bool) -> None:
    headers = {"x-should-retry": wished}
    assert is_retryable(status, headers) is retryable
    assert failed("x", status, headers).retryable is retryable
    assert failed("x", status, headers).bad_request is (status == 400 and not retryable)


def test_people_must_fix_a_key_or_an_account_unless_it_may_pass() -> None:
    assert [need_by_status(each) for each in (401, 402, 403, 404, 429)] == [
        REFUSED_KEY,
        SPENT_BUDGET,
        REFUSED_KEY,
        None,
        None,
    ]
    assert failed("x", 401, {}).need is REFUSED_KEY
    assert failed("x", 401, {"x-should-retry": "true"}).need is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after": "Mon, 30 Nov 2020 12:00:00 GMT"}, None),
        ({"retry-after-ms": "1e400"}, None),
    ],
)
def test_the_wait_may_come_in_several_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_the_wait_may_be_a_date() -> None:
    at = email.utils.formatdate(time.time() + 100, usegmt=True)
    found = retry_after({"retry-after": at})
    assert found is not None
    assert 90 < found <= 100


@settings(deadline=None, database=None, max_examples=examples(200))
@given(st.text(max_size=30), st.text(max_size=30))
def test_no_header_of_a_server_raises(after: str, milliseconds: str) -> None:
    found = retry_after({"retry-after": after, "retry-after-ms": milliseconds})
    assert found is None or found > 0


def test_a_message_says_what_to_do_what_happened_and_which_request_it_was() -> None:
    error = failed(
        "check the key", 401, {}, message="key sk-123 is bad" + "x" * 600, request_id="r7",
        hide=["sk-123"],
    )  # fmt: skip
    text = str(error)
    assert text.startswith("check the key: key ********** is bad")
    assert text.endswith("x: (request r7)")
    assert len(text) < 560
    assert str(failed("down", 500, {})) == "down"


def test_a_response_that_breaks_off_or_takes_too_long_is_asked_for_again() -> None:
    for error, says in [
        (cut("m"), "the response of m broke off (without an error)"),
        (late("m", 2.5), "m gave no complete response within 2.5 s"),
    ]:
        assert str(error) == says
        assert error.retryable


def caused_by(name: str) -> Exception:
    error = Exception("secret header")
    error.__cause__ = type(name, (Exception,), {})("sk-123")
    return error


@pytest.mark.parametrize(
    ("cause", "says", "retryable"),
    [
        ("UnsupportedProtocol", "check base_url and THE_URL", False),
        ("InvalidURL", "check base_url and THE_URL", False),
        ("LocalProtocolError", "check the API key for line breaks", False),
        ("ConnectTimeout", "m did not answer in time (ConnectTimeout)", True),
        ("ConnectError", "the server cannot be reached (ConnectError)", True),
    ],
)
def test_a_failed_connection_is_explained_without_its_cause(
    cause: str, says: str, *, retryable: bool
) -> None:
    error = disconnected(caused_by(cause), "m", "the server", "THE_URL")
    assert says in str(error)
    assert error.retryable is retryable
    assert "sk-123" not in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("code", "retryable", "bad_request", "says"),
    [
        ("insufficient_quota", False, False, "has no quota left: see its billing page"),
        ("rate_limit_exceeded", True, False, "broke off the response of 'm'"),
        ("invalid_prompt", False, True, "broke off"),
        ("image_file_not_found", False, True, "broke off"),
        ("", True, False, "broke off"),
    ],
)
def test_an_error_in_the_middle_of_a_response_is_judged_by_its_code(
    code: str, says: str, *, retryable: bool, bad_request: bool
) -> None:
    error = stream_error(code, "why", "m", "OpenAI")
    assert (error.retryable, error.bad_request) == (retryable, bad_request)
    assert says in str(error)
    assert str(error).endswith("why")


# -- when all of several models failed ----------------------------------------------------------


def model_error(**fields: Any) -> ModelError:
    return ModelError(str(fields.pop("text", "x")), **fields)


@pytest.mark.parametrize(
    ("errors", "retryable", "wait"),
    [
        ([model_error(), model_error()], False, None),
        ([model_error(), model_error(retryable=True, retry_after=9)], True, 9),
        (
            [
                model_error(retryable=True, retry_after=9),
                model_error(retryable=True, retry_after=4),
            ],
            True,
            4,
        ),
        ([model_error(retryable=True, retry_after=9), model_error(retryable=True)], True, None),
    ],
)
def test_all_may_be_asked_again_when_the_first_of_them_may(
    errors: list[ModelError], wait: float | None, *, retryable: bool
) -> None:
    found = all_failed(errors)
    assert (found.retryable, found.retry_after) == (retryable, wait)


def test_people_are_told_what_to_fix_only_if_waiting_does_not_help() -> None:
    refused, passing = model_error(text="no key", need=REFUSED_KEY), model_error(retryable=True)
    assert all_failed([model_error(), refused]).need is REFUSED_KEY
    assert all_failed([refused, passing]).need is None
    assert str(all_failed([refused, passing])) == "no model gave a response: no key; x"
