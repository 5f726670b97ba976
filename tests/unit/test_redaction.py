"""Secrets in error messages: none is recorded, logged or shown."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layby.runtime import redaction
from layby.runtime.redaction import MASK, redacted, use
from tests.examples import examples

SECRET = "s3cr3t-value"  # noqa: S105


@pytest.fixture
def hooks() -> Iterator[list[redaction.Redact]]:
    """The hooks of this process, without those of a test afterwards."""
    found = redaction._hooks  # pyright: ignore[reportPrivateUsage]
    before = list(found)
    yield found
    found[:] = before


@pytest.mark.parametrize(
    "name",
    [
        "OPENAI_API_KEY",
        "KEY",
        "GITHUB_TOKEN",
        "token",
        "DB_PASSWORD",
        "PGPASSWORD_OLD_PASSWD",
        "MY_PASSPHRASE_2",
        "AWS_CREDENTIAL",
        "GCP_CREDENTIALS",
        "SENTRY_DSN",
        "STRIPEAPIKEY",
        "Client_Secret",
    ],
)
def test_the_value_of_a_variable_with_such_a_name_is_masked(name: str) -> None:
    assert redacted(f"got {SECRET} and {SECRET}", {name: SECRET}) == f"got {MASK} and {MASK}"


@pytest.mark.parametrize("name", ["KEYBOARD", "MONKEY", "HOME", "TOKENIZERS_PARALLELISM", "DSNS"])
def test_other_variables_are_not_secret(name: str) -> None:
    assert redacted(f"got {SECRET}", {name: SECRET}) == f"got {SECRET}"


def test_short_values_stay_because_they_are_in_too_many_texts() -> None:
    assert redacted("at 1234567", {"MY_KEY": "1234567"}) == "at 1234567"
    assert redacted("at 12345678", {"MY_KEY": "12345678"}) == f"at {MASK}"
    assert redacted("nothing", {"MY_KEY": ""}) == "nothing"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nats://ada:pw@host:4222 is down", f"nats://{MASK}@host:4222 is down"),
        ("postgres://:pw@db/x and http://u:p@h", f"postgres://{MASK}@db/x and http://{MASK}@h"),
        ("http://host:80/a@b", "http://host:80/a@b"),
        ("http://ada@host/", "http://ada@host/"),
        ("mail ada:pw@host", "mail ada:pw@host"),
    ],
)
def test_the_login_in_an_address_is_masked(text: str, shown: str) -> None:
    assert redacted(text, {}) == shown


def test_an_app_may_hide_more(hooks: list[redaction.Redact]) -> None:
    use(lambda text: text.replace("Ada", "A."))
    assert redacted("Ada called", {}) == "A. called"
    use(None)
    before = len(hooks)
    use(hooks[-1])
    assert len(hooks) == before


def test_a_message_that_a_hook_could_not_check_is_not_shown(hooks: list[redaction.Redact]) -> None:
    def broken(text: str) -> str:
        raise KeyError(text)

    use(broken)
    assert hooks
    assert redacted("card 4111", {}) == f"{MASK}: redact= raised KeyError"


@settings(deadline=None, database=None, max_examples=examples(200))
@given(st.text(max_size=20), st.text(min_size=8, max_size=12), st.text(max_size=20))
def test_no_secret_survives_in_any_message(before: str, secret: str, after: str) -> None:
    shown = redacted(f"{before}{secret}{after}", {"THE_TOKEN": secret})
    assert secret not in shown.replace(MASK, "")
