"""The OpenAPI document says what the routes do, and is a document of OpenAPI 3.1."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from schemathesis.specs.openapi.definitions import OPENAPI_31
from starlette.routing import Route

from layby import App
from layby.bus.errors import BusError, LaybyError
from layby.client import NoSuchRun, NotDoneYet
from layby.console.api.openapi import document
from layby.console.api.operations import OPERATIONS
from layby.console.api.problem import INTERNAL, KINDS, kind_of, problem_of
from layby.console.api.routes import routes
from tests.fix_browser import console_on
from tests.http_api import Api

pytestmark = [pytest.mark.nats, pytest.mark.slow]


@pytest.fixture
async def described(layby_running: Any) -> dict[str, Any]:
    """The document of a console behind a proxy."""
    async with (
        layby_running(App("desk"), workers=0) as rt,
        console_on(rt.settings, base_path="/layby") as console,
    ):
        reply = await Api(console).get("/openapi.json")
        assert reply.json == json.loads(json.dumps(document(console.console)))
        found: dict[str, Any] = reply.json
        return found


async def test_it_is_an_openapi_document(described: dict[str, Any]) -> None:
    wrong = Draft202012Validator(OPENAPI_31).iter_errors(described)
    assert [f"{each.json_path}: {each.message}" for each in wrong] == []
    assert described["servers"] == [{"url": "/layby/api/v1"}]
    for reference in set(_references(described)):
        name = reference.removeprefix("#/components/schemas/")
        Draft202012Validator.check_schema(described["components"]["schemas"][name])


def _references(value: Any) -> Iterator[str]:
    return iter(re.findall(r'"\$ref": "([^"]+)"', json.dumps(value)))


async def test_it_has_the_routes_and_no_others(described: dict[str, Any]) -> None:
    served = {
        (method, route.path.removeprefix("/api/v1").replace(":path}", "}"))
        for route in routes
        if isinstance(route, Route)
        for method in route.methods or ()
    }
    told = {
        (method.upper(), path)
        for path, operations in described["paths"].items()
        for method in operations
    }
    served -= {("HEAD", path) for _, path in served}
    assert served - told == {("GET", "/openapi.json")}
    assert told <= served


async def test_everything_in_it_is_described(described: dict[str, Any]) -> None:
    for path, operations in described["paths"].items():
        for operation in operations.values():
            assert operation["summary"], path
            for parameter in operation["parameters"]:
                assert parameter["description"], (path, parameter["name"])
    for name, schema in described["components"]["schemas"].items():
        assert "Attributes:" not in schema.get("description", ""), name


def test_names_are_unique() -> None:
    assert len({each.name for each in OPERATIONS}) == len(OPERATIONS)


@pytest.mark.parametrize("error", KINDS, ids=lambda error: error.__name__)
def test_each_kind_of_error_has_its_status(error: type[Exception]) -> None:
    kind = KINDS[error]
    assert kind.status >= 400 or kind.status == 202
    assert kind.title
    assert kind_of(error.__new__(error)) is kind


def test_an_error_is_reported_like_its_nearest_known_base_class() -> None:
    class Odd(BusError):
        pass

    assert problem_of(Odd("gone")).status == 503
    assert problem_of(NotDoneYet("it is stored", 7)).seq == 7
    found = problem_of(NoSuchRun("there is no run 'x' at nats://ada:secret@host"))
    assert (found.status, found.detail) == (404, "there is no run 'x' at nats://host")


def test_an_error_that_nobody_expects_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    for error in (RuntimeError("a secret"), LaybyError("a secret"), KeyError("a secret")):
        found = problem_of(error)
        assert (found.status, found.title, found.detail) == (500, INTERNAL.title, "")
    assert caplog.text.count("console.request_failed") == 3
