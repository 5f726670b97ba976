"""What a request to the API may carry, and what a program is told of everything else."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.actors.people.answer import Receipt
from layby.bus.errors import BusError, Conflict, KeyMissing, NoLeader, PermissionDenied, StoreFull
from layby.client import NoSuchRun
from layby.console.api.operation import Call, Nothing, Operation
from layby.console.api.problem import (
    INTERNAL,
    KINDS,
    AnswerLost,
    InvalidRequest,
    NotAccepted,
    NotJson,
    problem_of,
    problem_response,
)
from layby.console.api.reading import is_optional, reader
from layby.console.api.values import (
    Answer,
    Claim,
    LetterPath,
    Passing,
    Reason,
    RunsQuery,
    SentEvent,
)
from tests.http_request import request

JSON = [("content-type", "application/json")]


async def letter(call: Call[LetterPath, RunsQuery, Nothing]) -> None:
    del call


async def reason(call: Call[Nothing, Nothing, Reason]) -> None:
    del call


async def answer(call: Call[Nothing, Nothing, Answer]) -> None:
    del call


async def claim(call: Call[Nothing, Nothing, Claim]) -> None:
    del call


async def passing(call: Call[Nothing, Nothing, Passing]) -> None:
    del call


async def sending(call: Call[Nothing, Nothing, SentEvent]) -> None:
    del call


def operation(handler: Any) -> Operation:
    return Operation("POST", "/it", handler, "public")


async def query(text: str) -> RunsQuery:
    asked = request("/it/1", query=text)
    asked.scope["path_params"] = {"seq": "1"}
    found: RunsQuery = (await reader(operation(letter))(asked)).query
    return found


async def body(handler: Any, data: bytes, headers: Any = JSON) -> Any:
    asked = request("/it", headers, method="POST", body=[data])
    return (await reader(operation(handler))(asked)).body


async def test_parameters_are_read_as_their_types() -> None:
    found = await query("status=failed&status=waiting&limit=7&text=a%20b&label=a:b")
    assert found == RunsQuery(status=["failed", "waiting"], limit=7, text="a b", label=["a:b"])
    assert await query("") == RunsQuery()


@pytest.mark.parametrize(
    ("text", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=1.5", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("limit=1&limit=1", "limit"),
        ("status=nothing", "status"),
        ("status=failed&status=odd", "status"),
        ("label=none", "label"),
        ("label=a:b&label=:b", "label"),
        ("since=yesterday", "since"),
        ("since=2026-12-01T00:00:00", "since"),  # without a zone
        ("time=asked", "time"),
        ("text=" + "x" * 401, "text"),
        ("tickets=T1", "tickets"),
    ],
)
async def test_a_parameter_that_is_wrong_is_named(text: str, parameter: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await query(text)
    assert caught.value.parameter == parameter
    assert parameter in str(caught.value)
    assert len(str(caught.value)) <= 500


async def test_what_is_no_parameter_is_told_with_those_that_are() -> None:
    with pytest.raises(InvalidRequest) as caught:
        await query("x" * 200 + "=1")
    said = str(caught.value)
    assert said.startswith(f"no parameter '{'x' * 80}' is known here: cursor, label, limit, role, ")
    assert len(caught.value.parameter) == 80


async def test_a_query_has_a_bounded_number_of_parameters() -> None:
    assert len((await query("&".join(["status=failed"] * 100))).status) == 100
    with pytest.raises(InvalidRequest, match="there are more than 100 parameters"):
        await query("&".join(["status=failed"] * 101))


@pytest.mark.parametrize("seq", ["0", "-1", "x", "1e3", str(1 << 53), "9" * 400, "1 ", "٣"])
async def test_a_path_that_names_nothing_is_refused(seq: str) -> None:
    asked = request("/it")
    asked.scope["path_params"] = {"seq": seq}
    with pytest.raises(InvalidRequest) as caught:
        await reader(operation(letter))(asked)
    assert caught.value.parameter == "seq"


async def test_a_body_is_read_as_json_whatever_its_parameters_say() -> None:
    kind = [("content-type", "Application/JSON ; charset=utf-8")]
    assert await body(answer, b'{"answer": [1, {"a": null}]}', kind) == Answer(
        answer=[1, {"a": None}]
    )


async def test_only_a_body_that_says_nothing_new_may_be_left_out() -> None:
    assert await body(reason, b"", []) == Reason()
    assert await body(claim, b"", []) == Claim(minutes=30)
    assert [is_optional(each) for each in (Reason, Claim, Answer)] == [True, True, False]
    with pytest.raises(NotJson, match="the body is of no type: it must be application/json"):
        await body(answer, b"", [])


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "json", ""])
async def test_a_body_that_a_page_of_another_site_could_send_is_not_read(kind: str) -> None:
    with pytest.raises(NotJson) as caught:
        await body(answer, b'{"answer": 1}', [("content-type", kind)])
    assert (kind or "of no type") in str(caught.value)


@pytest.mark.parametrize("data", [b"{", b"", b"\xff", b'{"answer": NaN}', b"[" * 100_000, b"{}x"])
async def test_a_body_that_is_no_json_is_refused_in_few_words(data: bytes) -> None:
    with pytest.raises(InvalidRequest, match="the body is not JSON") as caught:
        await body(answer, data)
    assert len(str(caught.value)) <= 300


@pytest.mark.parametrize(
    ("handler", "value", "parameter"),
    [
        (answer, {}, ""),
        (answer, {"answer": 1, "by": "eve"}, ""),
        (answer, [1], ""),
        (claim, {"minutes": -1}, "minutes"),
        (claim, {"minutes": 1441}, "minutes"),
        (claim, {"minutes": "30"}, "minutes"),
        (reason, {"reason": "x" * 2001}, "reason"),
        (reason, {"reason": {"a": {"b": 1}}}, "reason"),
        (passing, {"to": "lead"}, "to"),
        (passing, {"to": "role:Lead"}, "to"),
        (passing, {"to": "person:a b"}, "to"),
        # a name that ends with a line end names nobody, and an event's id with one is another
        (passing, {"to": "person:bob\n"}, "to"),
        (sending, {"subject": "a.b", "data": 1, "id": "e1\n"}, "id"),
    ],
)
async def test_a_field_that_is_wrong_is_named(handler: Any, value: Any, parameter: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await body(handler, json.dumps(value).encode())
    assert caught.value.parameter == parameter
    assert "$" not in str(caught.value).partition(":")[0]


@given(st.binary(max_size=60))
async def test_any_body_is_read_or_refused(data: bytes) -> None:
    try:
        found = await body(claim, data)
    except InvalidRequest:
        return
    assert 0 <= found.minutes <= 1440


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (NoSuchRun("none"), 404, "no-such-run"),
        (PermissionDenied("no"), 403, "permission-denied"),
        (KeyMissing("no"), 403, "key-missing"),
        (Conflict("no"), 409, "conflict"),
        (NotJson("no"), 415, "not-json"),
        (InvalidRequest("no"), 422, "invalid-request"),
        (ValueError("no"), 422, "invalid-request"),
        (UnicodeError("no"), 422, "invalid-request"),
        (StoreFull("no"), 503, "store-full"),
        (NoLeader("no"), 503, "no-leader"),
        (BusError("no"), 503, "unavailable"),
    ],
)
def test_an_error_is_told_by_its_own_class_or_the_nearest(
    error: Exception, status: int, name: str
) -> None:
    found = problem_of(error)
    assert (found.status, found.type) == (status, f"urn:layby:problem:{name}")
    assert "no" in found.detail


def test_what_nobody_expects_goes_to_the_log_and_not_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = problem_of(RuntimeError("at /srv/secret.py"))
    assert (found.status, found.title, found.detail) == (500, INTERNAL.title, "")
    assert "secret" not in repr(found)
    assert "/srv/secret.py" in caplog.text


def test_an_expected_error_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    problem_of(Conflict("no"))
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no answer from nats://ada:pw@host:4222", "no answer from nats://host:4222"),
        ("tls://token@a, nats://b", "tls://a, nats://b"),
        ("ask ada@example.com", "ask ada@example.com"),
        ("nats://host/a@b", "nats://host/a@b"),
    ],
)
def test_no_credentials_of_an_address_go_out(text: str, shown: str) -> None:
    assert problem_of(BusError(text)).detail == shown


def test_an_answer_that_was_not_accepted_comes_back_with_its_receipt() -> None:
    receipt = Receipt(
        outcome="too_late", ticket="T1", question="q", by="ada", at="2026-12-01T00:00:00Z", seq=7
    )
    lost = problem_of(AnswerLost(receipt))
    assert (lost.status, lost.receipt, lost.detail) == (409, receipt, "too_late")
    assert problem_of(NotAccepted(receipt)).status == 422


def test_the_response_is_problem_json_and_leaves_out_what_is_empty() -> None:
    response = problem_response(InvalidRequest("limit: too many", "limit"))
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert msgspec.json.decode(response.body) == {
        "type": "urn:layby:problem:invalid-request",
        "title": "A parameter or the body is wrong",
        "status": 422,
        "detail": "limit: too many",
        "parameter": "limit",
    }


def test_each_problem_has_one_status_and_is_said_in_words() -> None:
    statuses: dict[str, int] = {}
    for kind in (*KINDS.values(), INTERNAL):
        assert statuses.setdefault(kind.name, kind.status) == kind.status
        assert not kind.title.endswith(".")
        assert kind.advice == "" or kind.advice.endswith(".")
