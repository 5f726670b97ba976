"""What a client logs in with: it is checked before it is used, and no error shows it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from layby.bus.credentials import named, options
from layby.bus.creds import owner
from layby.bus.errors import InvalidSettings
from layby.bus.settings import ConnectionSettings
from tests.signing_desk import ADA


def token(**claims: Any) -> str:
    """A user's JWT, as far as it is read."""
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.c2ln"


def text(jwt: str, seed: str = ADA.seed) -> str:
    return (
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )


CREDS = text(token(name="ada", sub=ADA.public))


def refused(settings: ConnectionSettings) -> str:
    with pytest.raises(InvalidSettings) as caught:
        options(settings)
    assert ADA.seed not in str(caught.value)
    return str(caught.value)


# -- pasted -----------------------------------------------------------------------------------


def test_pasted_credentials_say_whose_they_are() -> None:
    assert named(CREDS) == (ADA.public, "ada")
    assert named(f"some words\n{CREDS}\nmore") == (ADA.public, "ada")
    assert named(text(token(sub=ADA.public))) == (ADA.public, "")
    assert named(f"  {ADA.seed}\n") == (ADA.public, "")


@pytest.mark.parametrize(
    "pasted",
    [
        "",
        "hello",
        ADA.public,
        ADA.seed[:-1],
        f"{ADA.seed}A",
        "\ud800",
        text("no-jwt"),
        text("e30.!!!.x"),
        text("e30.W10.x"),
        text(token(name=7)),
        text(token(name="ada"), seed=ADA.seed[:-1]),
        text(token(name="ada"), seed=ADA.public),
    ],
)
def test_what_is_pasted_and_cannot_be_a_login_is_refused_without_being_shown(pasted: str) -> None:
    with pytest.raises(InvalidSettings, match="neither the text of a credentials file") as caught:
        named(pasted)
    assert ADA.seed[:20] not in str(caught.value)
    assert caught.value.__cause__ is None


def test_pasted_credentials_are_a_login_in_their_own_form() -> None:
    mangled = f"line of a mail\r\n{CREDS}".replace("\n", "\r\n")
    [(name, raw)] = options(ConnectionSettings(pasted=mangled)).items()
    assert name == "user_credentials"
    assert str(raw) == CREDS
    assert options(ConnectionSettings(pasted=f"{ADA.seed}\n")) == {"nkeys_seed_str": ADA.seed}
    assert "neither" in refused(ConnectionSettings(pasted="hello"))


# -- files ------------------------------------------------------------------------------------


def test_a_file_is_checked_and_given_to_the_client_by_its_path(tmp_path: Path) -> None:
    creds, seed = tmp_path / "ada.creds", tmp_path / "ada.nk"
    creds.write_text(CREDS)
    seed.write_text(f"{ADA.seed}\n")
    assert options(ConnectionSettings(creds=str(creds))) == {"user_credentials": str(creds)}
    assert options(ConnectionSettings(nkey=str(seed))) == {"nkeys_seed": str(seed)}


@pytest.mark.parametrize("missing", ["BEGIN NATS USER JWT", "BEGIN USER NKEY SEED"])
def test_a_file_without_one_of_its_parts_would_be_read_for_ever(
    tmp_path: Path, missing: str
) -> None:
    creds = tmp_path / "ada.creds"
    creds.write_text(CREDS.replace(missing, "BEGIN"))
    assert "is not a credentials file" in refused(ConnectionSettings(creds=str(creds)))


@pytest.mark.parametrize("written", ["", ADA.public, ADA.seed[:-1], CREDS])
def test_a_file_without_a_seed_is_refused_without_its_text(tmp_path: Path, written: str) -> None:
    seed = tmp_path / "ada.nk"
    seed.write_text(written)
    said = refused(ConnectionSettings(nkey=str(seed)))
    assert "does not hold an nkey seed. It should be one line that begins with SU." in said


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere")
    for login in (ConnectionSettings(creds=nowhere), ConnectionSettings(nkey=nowhere)):
        assert nowhere in refused(login)


def test_a_user_a_token_and_nobody() -> None:
    assert options(ConnectionSettings(user="ada")) == {"user": "ada", "password": ""}
    login = ConnectionSettings(user="ada", password="pw")  # noqa: S106
    assert options(login) == {"user": "ada", "password": "pw"}
    assert options(ConnectionSettings(token="t")) == {"token": "t"}  # noqa: S106
    assert options(ConnectionSettings()) == {}


# -- whose a file is --------------------------------------------------------------------------


def test_a_credentials_file_names_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "x.creds"
    for jwt, name in [
        (token(name="ada"), "ada"),
        (token(name="a" * 3), "aaa"),
        (token(name="zoë"), "zoë"),
        (token(name=""), None),
        (token(), None),
        (token(name=["ada"]), None),
        ("e30", None),
    ]:
        path.write_text(text(jwt))
        assert owner(str(path)) == name
    path.write_text("-----BEGIN NATS USER JWT-----")
    assert owner(str(path)) is None
    path.write_bytes(b"\xff\xfe")
    assert owner(str(path)) is None
    assert owner(str(tmp_path)) is None
