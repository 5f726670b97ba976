"""Options that several commands share: who has a login, what signs, and where text comes from."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from layby.access import Bridge, Link, Person, Staff
from layby.bus.settings import ConnectionSettings
from layby.cli.options.signing import KEYS, NKEY, keys_file, signer_in, signing_name
from layby.cli.options.staff import NamedStaff, comma_separated
from layby.cli.options.standard_input import file_or_stdin, read_file, text_or_stdin
from layby.cli.screen.errors import FAILED, USAGE, CliError, UsageError
from layby.runtime.nkey import Signer


@pytest.fixture
def seed_file(tmp_path: Path) -> Path:
    path = tmp_path / "ada.nk"
    path.write_text(Signer.new().seed)
    return path


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NKEY, raising=False)
    monkeypatch.delenv(KEYS, raising=False)


def typed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))


def test_nobody_named_means_the_default_names() -> None:
    assert NamedStaff().staff == Staff()


def test_each_kind_that_is_named_replaces_only_its_own_default() -> None:
    named = NamedStaff(person=("bob",), operator=("boss",), notifier=("shop",))
    assert named.staff == Staff(people=(Person("bob"),), operators=("boss",), notifiers=("shop",))


def test_roles_and_ways_to_vouch_follow_an_equals_sign() -> None:
    named = NamedStaff(
        person=("ada=developer,lead", "bob"),
        bridge=("slackbot=slack", "gate"),
        restorer=("boss",),
        link=("berlin=hub",),
    )
    staff = named.staff
    assert staff.people == (Person("ada", ("developer", "lead")), Person("bob"))
    assert staff.bridges == (Bridge("slackbot", ("slack",)), Bridge("gate"))
    assert staff.links == (Link("berlin", "hub"),)


def test_the_options_can_be_written_again_as_they_were() -> None:
    named = NamedStaff(person=("ada=lead", "bob"), link=("berlin=hub",))
    assert named.words == ["--person", "ada=lead", "--person", "bob", "--link", "berlin=hub"]


@pytest.mark.parametrize(
    ("text", "parts"), [("", ()), ("a", ("a",)), ("a,b", ("a", "b")), (",a,,b,", ("a", "b"))]
)
def test_a_list_has_no_empty_parts(text: str, parts: tuple[str, ...]) -> None:
    assert comma_separated(text) == parts


def test_the_key_that_signs_is_the_named_one_then_that_of_the_environment_then_of_the_login(
    seed_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.nk"
    other.write_text(Signer.new().seed)
    settings = ConnectionSettings(nkey=str(other))
    keys = {path: Signer.from_file(path).public for path in (str(seed_file), str(other))}
    assert signer_in(None, settings).public == keys[str(other)]
    monkeypatch.setenv(NKEY, str(seed_file))
    assert signer_in(None, settings).public == keys[str(seed_file)]
    assert signer_in(str(other)).public == keys[str(other)]


def test_without_a_key_it_is_said_where_to_name_one() -> None:
    with pytest.raises(UsageError, match="signed answers only") as refused:
        signer_in(None, ConnectionSettings())
    assert f"--nkey or {NKEY}" in refused.value.advice


def test_a_seed_in_place_of_its_file_is_refused_and_not_repeated() -> None:
    seed = Signer.new().seed
    with pytest.raises(UsageError, match="takes a file") as refused:
        signer_in(seed)
    assert seed not in str(refused.value.document())
    assert "layby keys new FILE" in refused.value.advice


@pytest.mark.parametrize(
    ("name", "says"), [(None, "no name is given"), ("", "no name is given"), ("a.b", "'a.b'")]
)
def test_a_name_that_signs_must_be_a_word_of_a_subject(name: str | None, says: str) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        signing_name(name)
    assert "--responder" in refused.value.advice
    assert signing_name("ada-2") == "ada-2"


def test_the_file_of_keys_is_the_named_one_or_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert keys_file(None) is None
    monkeypatch.setenv(KEYS, "keys.json")
    assert keys_file(None) == "keys.json"
    assert keys_file("mine.json") == "mine.json"
    monkeypatch.setenv(KEYS, "")
    assert keys_file(None) is None


def test_a_dash_stands_for_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"in the file")
    assert text_or_stdin("grüße") == "grüße"
    assert file_or_stdin(str(file)) == b"in the file"
    typed(monkeypatch, "grüße\n".encode())
    assert text_or_stdin("-") == "grüße\n"
    typed(monkeypatch, b"\xff\x00")
    assert file_or_stdin("-") == b"\xff\x00"


def test_standard_input_that_is_no_text_is_a_wrong_command_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    typed(monkeypatch, b"\xff")
    with pytest.raises(UsageError, match="not UTF-8") as refused:
        text_or_stdin("-")
    assert (refused.value.code, refused.value.kind) == (USAGE, "NotText")


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="No such file") as refused:
        read_file(str(tmp_path / "none"))
    assert refused.value.code == FAILED
    assert str(tmp_path / "none") in refused.value.message
