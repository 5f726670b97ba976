"""When a process is traced, and what it says if it cannot be."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

import pytest

from layby.runtime import tracing
from layby.tracing import provider as module
from layby.tracing.provider import flush, is_wanted, provider
from layby.tracing.sending import sending

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is set up in this process, and nothing stays behind."""
    monkeypatch.setattr(module, "_ours", module._Ours())
    monkeypatch.setattr(module, "_of_app", lambda: None)
    monkeypatch.setattr(tracing, "_process", tracing._Process())
    for name in ("OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", *module._ENDPOINTS):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "shop"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", **ENDPOINT}, False),
        ({"OTEL_SDK_DISABLED": "TRUE", **ENDPOINT}, False),
        ({"OTEL_SDK_DISABLED": "false", **ENDPOINT}, True),
    ],
)
def test_variables_decide_whether_spans_are_sent(environ: dict[str, str], wanted: bool) -> None:  # noqa: FBT001
    assert is_wanted(environ) is wanted


def test_a_process_that_nobody_traces_loads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_made", pytest.fail)
    assert provider("shop") is None
    with sending("shop.paid") as headers:
        assert headers == {}


@pytest.mark.parametrize(
    ("without", "more", "says"),
    [
        ("opentelemetry.sdk.trace", {}, ("OTEL_* variables ask for traces", "[otel]")),
        ("", {"OTEL_EXPORTER_OTLP_PROTOCOL": "carrier pigeon"}, ("carrier pigeon", "[otel]")),
        ("", {"OTEL_TRACES_EXPORTER": "zipkin"}, ("zipkin", "http/protobuf")),
        ("", {"OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, ("max_queue_size",)),
    ],
)
def test_a_process_that_cannot_be_traced_says_so_once_and_works(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    without: str,
    more: dict[str, str],
    says: tuple[str, ...],
) -> None:
    for name, value in (ENDPOINT | more).items():
        monkeypatch.setenv(name, value)
    if without:
        monkeypatch.setitem(sys.modules, without, None)
    assert provider("shop") is None
    with sending("shop.paid") as headers:
        assert headers == {}
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("tracing.unavailable advice=")
    assert all(part in record.getMessage() for part in says)


class Stuck:
    """A provider whose server never answers."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.released = threading.Event()

    def force_flush(self) -> None:
        self.asked.set()
        self.released.wait()


async def test_the_last_spans_are_waited_for_only_so_long(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stuck = Stuck()
    ours: Any = module._Ours()
    ours.provider = stuck
    monkeypatch.setattr(module, "_ours", ours)
    await asyncio.wait_for(flush(within=0.05), 20)
    assert stuck.asked.is_set()
    assert [each.getMessage() for each in caplog.records] == ["tracing.spans_lost seconds=0.05"]
    stuck.released.set()
    caplog.clear()
    await asyncio.wait_for(flush(), 60)
    assert not caplog.records


async def test_nothing_is_waited_for_without_spans() -> None:
    await flush()


def test_the_provider_of_an_app_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415

    own = TracerProvider(shutdown_on_exit=False)
    monkeypatch.setattr(module, "_of_app", lambda: own)
    assert provider("shop") is own
    with sending("shop.paid") as headers:
        assert headers["traceparent"].startswith("00-")
    assert tracing.headers() == {}
