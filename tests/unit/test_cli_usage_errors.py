"""What a wrong command line, or an error of any kind, is called in the words of the house."""

from __future__ import annotations

import signal

import pytest
import typer

from layby.bus.errors import InvalidSettings
from layby.cli.screen.errors import (
    FAILED,
    INTERRUPTED,
    SIGNALLED,
    USAGE,
    CliError,
    UsageError,
    explain,
    without_secrets,
)
from layby.cli.screen.usage_errors import usage_error
from layby.views.lookup import NoSuchRun


class Parsed(typer.TyperException):
    """What the parser says."""


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("Missing argument 'RUN'.", "missing argument 'RUN'"),
        ("Invalid value for 'ID': Input should be a valid integer, unable", "ID must be a whole"),
        ("Invalid value for '--limit': Input should be greater than or equal to 1", "1 or more"),
        ("Invalid value for '--port': Input should be less than or equal to 9", "9 or less"),
        ("Invalid value for '--as / -a': Input should be nice", "--as must be nice"),
        ("Invalid value for '--as': 'x' is not one of 'a', 'b'.", "--as must be one of 'a', 'b'"),
        ("Invalid value for '--file': No such file.", "--file: no such file"),
    ],
)
def test_the_parsers_words_become_those_of_other_errors(said: str, message: str) -> None:
    error = usage_error(Parsed(said))
    assert error is not None
    assert message in error.message
    assert (error.code, error.kind) == (USAGE, "UsageError")
    assert error.advice == "see: layby --help"


def test_an_abort_is_no_wrong_command_line() -> None:
    error = usage_error(typer.Abort())
    assert error is not None
    assert (error.message, error.kind, error.code) == ("stopped", "Aborted", FAILED)


def test_another_error_is_none_of_the_command_line() -> None:
    assert usage_error(ValueError("no")) is None


def test_ctrl_c_ends_with_the_code_of_its_signal() -> None:
    error = explain(KeyboardInterrupt())
    assert (error.kind, error.code) == (INTERRUPTED, SIGNALLED + signal.SIGINT)


def test_an_error_for_people_stays_as_it_is() -> None:
    error = CliError("no", "try", code=3)
    assert explain(error) is error


def test_of_several_errors_at_once_the_first_is_said() -> None:
    first = UsageError("wrong", kind="Wrong")
    assert explain(ExceptionGroup("both", [first, ValueError("x")])) is first


def test_an_error_of_ours_keeps_its_words_and_type() -> None:
    error = explain(InvalidSettings("no such file"))
    assert (error.message, error.kind, error.advice) == ("no such file", "InvalidSettings", "")
    assert "layby runs" in explain(NoSuchRun("no run 3f9a")).advice


def test_an_error_without_words_says_what_its_type_means() -> None:
    doc = (InvalidSettings.__doc__ or "").strip().splitlines()[0]
    assert explain(InvalidSettings()).message == doc


def test_an_os_error_without_a_file_names_none() -> None:
    assert explain(OSError(28, "No space left on device")).message == "No space left on device"
    assert "unexpected OSError: broken" in explain(OSError("broken")).message


def test_the_json_of_an_error_has_its_facts_and_no_empty_advice() -> None:
    document = CliError("no", kind="NoReceipt", facts={"ticket": "T1"}).document()
    assert document == {"error": {"type": "NoReceipt", "message": "no", "ticket": "T1"}}
    assert CliError("no", "wait").document()["error"]["advice"] == "wait"


def test_a_text_without_a_login_is_left_as_it_is() -> None:
    text = "mail ada@example.com about https://host/path@2"
    assert without_secrets(text) == text
