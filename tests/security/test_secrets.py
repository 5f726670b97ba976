"""Secrets: what an exception says of them, and how they travel."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from layby import Step
from layby.bus import settings as settings_module
from layby.bus.connection import ConnectionSettings, connect
from layby.bus.server import EmbeddedServer
from layby.bus.settings import is_loopback
from layby.runtime import redaction
from layby.runtime.redaction import MASK, redacted
from layby.runtime.retry import Retry
from layby.runtime.telemetry import traced
from tests.engine import Engine, app_of

pytestmark = pytest.mark.nats

KEY = "sk-canary-0123456789"
ONCE = Retry(attempts=1)
CUSTOMER = "IBAN-DE02-canary"


def _never(_: str) -> bool:
    return False


def without_customers(text: str) -> str:
    return text.replace(CUSTOMER, "<customer>")


async def leaks(event: dict[str, Any], step: Step) -> str:
    del event

    async def call() -> str:
        raise ValueError(f"401 for {KEY} of {CUSTOMER} at https://bob:hunter22@bank.example/pay")

    return await step.run("call", call)


async def test_an_exception_tells_no_secret_to_log_lists_or_disk(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BANK_API_KEY", KEY)
    monkeypatch.setattr(redaction, "_hooks", [])
    app = app_of(leaks, retry=ONCE, redact=without_customers)
    with capture_logs() as logs:
        async with engine.works(app):
            run = await engine.start("T1")
            state = await engine.ended(run)
    told = state.error + repr(await engine.client.show(run)) + repr(await engine.lines(run))
    stored = [each.data for each in await engine.log.load(run)]
    for line in logs:
        line.pop("exc_info", None)  # drawn by `traced`, below
    for text in (told, repr(logs), repr(stored), traced(ValueError(KEY))):
        assert "canary" not in text
        assert "hunter22" not in text
    assert MASK in told
    assert "<customer>" in told


def test_what_is_no_secret_stays() -> None:
    environ = {"HOME": "/home/ada-and-bob", "MONKEY": "banana-bread", "A_KEY": "short", "B_KEY": ""}
    text = "short /home/ada-and-bob banana-bread https://example.org/a@b"
    assert redacted(text, environ) == text
    assert redacted("x", {"A_TOKEN": "longer-than-8"}) == "x"


async def test_a_hook_that_fails_shows_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BANK_API_KEY", KEY)
    monkeypatch.setattr(redaction, "_hooks", [])

    def broken(text: str) -> str:
        if CUSTOMER in text:
            raise RuntimeError(text)
        return text

    async with engine.works(app_of(leaks, retry=ONCE, redact=broken)):
        state = await engine.ended(await engine.start("T1"))
    assert "canary" not in state.error
    assert "RuntimeError" in state.error


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("nats://127.0.0.1:1", True),
        ("localhost:1", True),
        ("nats://[::1]:1", True),
        ("nats://nats.example.com", False),
        ("nats://a:b@10.0.0.1:1", False),
    ],
)
def test_what_is_on_this_machine_is_known(url: str, local: bool) -> None:  # noqa: FBT001
    assert is_loopback(url) is local
    settings = ConnectionSettings(servers=(url,), token="t")  # noqa: S106
    assert settings.sends_secret is not local
    assert not replace(settings, token=None, creds="x").sends_secret or "@" in url


async def test_a_password_in_clear_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with EmbeddedServer(tmp_path / "nats", private=True) as server:
        settings = ConnectionSettings(servers=(server.url,))
        with caplog.at_level(logging.WARNING):
            async with await connect(settings):
                assert "login_in_clear" not in caplog.text
            monkeypatch.setattr(settings_module, "is_loopback", _never)
            async with await connect(settings):
                assert "connection.login_in_clear" in caplog.text
                assert server.address in caplog.text
                assert server.url.partition("@")[0] not in caplog.text
