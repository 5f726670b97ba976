"""The tokens and keys of operator mode, as nats-server reads them."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from layby.access import jwt
from layby.access.account import Account, Limits, Service, exported
from layby.access.login import LAYBY, Login
from layby.access.nkey import ACCOUNT, OPERATOR, USER, Key
from layby.bus.errors import InvalidSettings


def said(token: str) -> dict[str, Any]:
    """What a token says, once its signature is checked as the server does."""
    head, body, signature = token.split(".")
    found: dict[str, Any] = msgspec.json.decode(unwrapped(body))
    assert msgspec.json.decode(unwrapped(head)) == {"typ": "JWT", "alg": "ed25519-nkey"}
    issuer = Ed25519PublicKey.from_public_bytes(base64.b32decode(found["iss"])[1:33])
    issuer.verify(unwrapped(signature), f"{head}.{body}".encode())
    return found


def unwrapped(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.fixture(scope="module")
def keys() -> dict[str, Key]:
    return {name: Key.new(ACCOUNT) for name in (LAYBY, "PEOPLE", "SYS")}


@pytest.fixture(scope="module")
def operator() -> Key:
    return Key.new(OPERATOR)


PEOPLE = Account(
    name="PEOPLE",
    ports=(
        Service("$JS.API.DIRECT.GET.KV_questions", many=True),
        Service("developer.response.*.*"),
        Service("$JS.API.STREAM.INFO.X", local="$TRAIL.STREAM.INFO.X"),
    ),
    streams=("developer.question.*",),
    limits=Limits(connections=7, subscriptions=8, payload=9),
)
INSIDE = Account(name=LAYBY, stores=True)


def account(of: Account, keys: dict[str, Key], operator: Key, **voids: int) -> dict[str, Any]:
    found = said(jwt.account(of, keys, operator, [INSIDE, PEOPLE], voids))
    assert found["sub"] == keys[of.name].public
    assert found["iss"] == operator.public
    return dict(found["nats"])


@pytest.mark.parametrize(("kind", "letter"), [(OPERATOR, "O"), (ACCOUNT, "A"), (USER, "U")])
def test_a_key_says_what_it_is_for(kind: int, letter: str) -> None:
    assert Key.new(kind).public.startswith(letter)


def test_a_key_is_kept_in_a_file_of_its_owner_and_shows_no_secret(tmp_path: Path) -> None:
    key = Key.new(USER)
    key.write(tmp_path / "key.nk")
    assert (tmp_path / "key.nk").stat().st_mode & 0o077 == 0
    assert Key.read(tmp_path / "key.nk").public == key.public
    assert repr(key) == f"Key({key.public})"
    assert key.seed.decode() not in repr(vars(key)["_pair"])


def test_a_file_that_holds_no_key_is_refused_without_its_content(tmp_path: Path) -> None:
    (tmp_path / "key.nk").write_text("SUNOTAKEY")
    with pytest.raises(InvalidSettings, match="does not hold an nkey") as refused:
        Key.read(tmp_path / "key.nk")
    assert "SUNOTAKEY" not in str(refused.value)
    with pytest.raises(InvalidSettings, match="No such file"):
        Key.read(tmp_path / "none.nk")


def test_every_token_has_its_own_id_and_a_time(operator: Key) -> None:
    found = said(jwt.operator(operator, "ASYS"))
    assert found["nats"] == {"type": "operator", "system_account": "ASYS", "version": 2}
    assert found["iss"] == found["sub"] == operator.public
    body = {key: found[key] for key in ("iat", "iss", "name", "sub", "nats")}
    digest = hashlib.sha256(msgspec.json.encode(body)).digest()
    assert found["jti"] == base64.b32encode(digest).decode().rstrip("=")


def test_an_export_is_open_only_to_those_with_a_token_of_the_exporter(
    keys: dict[str, Key], operator: Key
) -> None:
    exports = account(INSIDE, keys, operator)["exports"]
    assert {each["token_req"] for each in exports} == {True}
    by_name = {each["subject"]: each for each in exports}
    many = by_name["$JS.API.DIRECT.GET.KV_questions"]
    assert (many["type"], many["response_type"]) == ("service", "Stream")
    assert many["response_threshold"] == 30 * 10**9
    assert by_name["developer.response.*.*"]["response_type"] == "Singleton"
    assert by_name["developer.question.*"]["type"] == "stream"


def test_an_import_has_a_token_for_this_account_and_subject_alone(
    keys: dict[str, Key], operator: Key
) -> None:
    found = account(PEOPLE, keys, operator)
    assert len(found["imports"]) == 4
    for each in found["imports"]:
        assert each["account"] == keys[LAYBY].public
        token = said(each["token"])
        assert (token["sub"], token["iss"]) == (keys["PEOPLE"].public, keys[LAYBY].public)
        assert token["nats"]["subject"] == each["subject"]
        assert token["nats"]["kind"] == each["type"]


def test_what_means_something_else_in_the_account_is_mapped(
    keys: dict[str, Key], operator: Key
) -> None:
    found = account(PEOPLE, keys, operator)
    local = [each["local_subject"] for each in found["imports"] if "local_subject" in each]
    assert local == ["$TRAIL.STREAM.INFO.X"]
    assert found["mappings"] == {"$JS.API.STREAM.INFO.X": [{"subject": "$TRAIL.STREAM.INFO.X"}]}
    assert Service("a", local="b").requested == "b"
    assert Service("a").requested == "a"


def test_an_account_has_its_limits_and_no_store_unless_it_stores(
    keys: dict[str, Key], operator: Key
) -> None:
    outside = account(PEOPLE, keys, operator)["limits"]
    assert (outside["conn"], outside["subs"], outside["payload"]) == (7, 8, 9)
    assert (outside["leaf"], outside["data"]) == (0, -1)
    assert "disk_storage" not in outside
    inside = account(INSIDE, keys, operator)["limits"]
    assert (inside["conn"], inside["disk_storage"], inside["streams"]) == (-1, -1, -1)


def test_whose_login_is_revoked_is_in_the_accounts_token(
    keys: dict[str, Key], operator: Key
) -> None:
    assert account(PEOPLE, keys, operator, UADA=12)["revocations"] == {"UADA": 12}


def test_the_account_of_the_server_itself_takes_no_leaf_nodes(
    keys: dict[str, Key], operator: Key
) -> None:
    found = said(jwt.system(keys["SYS"].public, operator))
    assert (found["name"], found["nats"]["limits"]["leaf"]) == ("SYS", 0)


def test_a_login_may_do_what_it_may_and_only_a_link_is_for_servers(keys: dict[str, Key]) -> None:
    login = Login(name="ada", account="PEOPLE", publish=("a.>",), receive=("b",), about="")
    for is_link in (False, True):
        token = jwt.user(msgspec.structs.replace(login, is_link=is_link), "UADA", keys["PEOPLE"])
        found = said(token)
        assert (found["sub"], found["iss"]) == ("UADA", keys["PEOPLE"].public)
        assert (found["nats"]["pub"], found["nats"]["sub"]) == (
            {"allow": ["a.>"]},
            {"allow": ["b"]},
        )
        kinds = ["LEAFNODE"] if is_link else None
        assert found["nats"].get("allowed_connection_types") == kinds


def test_credentials_hold_the_token_and_the_seed_as_clients_read_them() -> None:
    key = Key.new(USER)
    lines = jwt.creds("a.b.c", key).decode().splitlines()
    assert lines[lines.index("-----BEGIN NATS USER JWT-----") + 1] == "a.b.c"
    assert lines[lines.index("-----BEGIN USER NKEY SEED-----") + 1] == key.seed.decode()


def test_an_account_exports_what_others_import_from_it_once_with_all_who_do() -> None:
    other = Account(name="OTHER", ports=(Service("developer.response.*.*"),), streams=("s",))
    ports, subscribed = exported(LAYBY, [INSIDE, PEOPLE, other])
    assert ports[Service("developer.response.*.*")] == ["PEOPLE", "OTHER"]
    assert Service("$JS.API.STREAM.INFO.X") in ports
    assert subscribed == {"developer.question.*": ["PEOPLE"], "s": ["OTHER"]}
    assert exported("OTHER", [INSIDE, PEOPLE, other]) == ({}, {})
