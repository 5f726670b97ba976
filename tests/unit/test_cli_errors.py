from __future__ import annotations

from layby.cli.screen.errors import CliError, explain, without_secrets
from layby.cli.screen.untrusted_text import one_line, safe


def test_escape_sequences_are_shown_not_executed() -> None:
    assert safe("\x1b[2Jgone\x07") == "\\x1b[2Jgone\\x07"


def test_direction_overrides_are_shown() -> None:
    assert safe("yes\u202eon") == "yes\\u202eon"


def test_line_breaks_and_other_scripts_stay() -> None:
    assert safe("grüße\n\t早安") == "grüße\n\t早安"


def test_one_line_flattens_and_cuts() -> None:
    assert one_line("a\n  b") == "a b"
    assert one_line("abcdef", 4) == "abc…"
    assert one_line({"a": [1, None]}) == '{"a": [1, null]}'


def test_credentials_never_show() -> None:
    text = "cannot reach nats://ada:s3cret@host:4222 nor tls://t0ken@other"
    assert without_secrets(text) == "cannot reach nats://host:4222 nor tls://other"


def test_a_password_with_an_at_sign_is_hidden_whole() -> None:
    assert without_secrets("nats://ada:p@ss@host:4222") == "nats://host:4222"


def test_the_json_error_has_no_credentials() -> None:
    document = CliError("no nats://a:b@h", "try nats://a:b@h").document()
    assert "a:b" not in str(document)


def test_an_unknown_error_shows_its_type_and_advice() -> None:
    failure = explain(ZeroDivisionError("division by zero"))
    assert "ZeroDivisionError" in failure.message
    assert "--verbose" in failure.advice
    assert failure.code == 1


def test_an_os_error_names_the_file() -> None:
    failure = explain(PermissionError(13, "Permission denied", "/nowhere"))
    assert failure.message == "Permission denied: /nowhere"
