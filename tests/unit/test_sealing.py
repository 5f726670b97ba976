"""Sealed bytes: they open with their key at their place, and nowhere else."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from layby.bus.errors import InvalidSettings, KeyMissing, Tampered
from layby.bus.keyring import Keyring, new_key
from layby.bus.sealing import Cipher, KeyName, is_sealed, key_of, new_secret, pseudonym

KEY = KeyName("b-1", 3)
SECRET = new_secret()


def cipher(run: str = "r1", key: KeyName = KEY, secret: bytes = SECRET) -> Cipher:
    return Cipher(key, secret, f"run {run}")


def test_what_is_sealed_opens_at_its_place() -> None:
    for data in (b"", b"{}", b"x" * 100_000):
        sealed = cipher().seal(data, "to.0.log.r1.2")
        assert is_sealed(sealed)
        assert data not in sealed or not data
        assert key_of(sealed) == KEY
        assert cipher().open(sealed, "to.0.log.r1.2") == data


@pytest.mark.parametrize("place", ["to.0.log.r1.3", "to.0.agent.r1.2", "to.0.log.r2.2", ""])
def test_what_was_sealed_for_another_place_does_not_open(place: str) -> None:
    sealed = cipher().seal(b"secret", "to.0.log.r1.2")
    with pytest.raises(Tampered, match="was not written for this place"):
        cipher().open(sealed, place)


def test_the_key_of_another_run_does_not_open_it() -> None:
    sealed = cipher("r1").seal(b"secret", "p")
    with pytest.raises(Tampered):
        cipher("r2").open(sealed, "p")
    with pytest.raises(Tampered):
        cipher("r1", secret=new_secret()).open(sealed, "p")


def test_not_one_byte_can_be_changed_added_or_left_out() -> None:
    sealed = cipher().seal(b'{"a": 1}', "p")
    changed = [
        sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(len(sealed))
    ]
    changed += [sealed[:at] for at in range(len(sealed))]
    changed += [sealed + b"\0", b"\0" + sealed]
    for each in changed:
        with pytest.raises(Tampered):
            cipher().open(each, "p")


def test_one_text_is_sealed_differently_each_time() -> None:
    """A nonce that came twice would tell what two texts have in common, and forge others."""
    sealer = cipher()
    many = {sealer.seal(b"secret", "p") for _ in range(1_000)}
    head = len(many.copy().pop()) - 16 - len(b"secret") - 12
    assert len({each[head : head + 12] for each in many}) == 1_000


def test_a_name_of_content_tells_nothing_without_the_key() -> None:
    assert cipher().digest(b"yes") == cipher().digest(b"yes")
    assert cipher().digest(b"yes") != cipher("r2").digest(b"yes")
    assert pseudonym(SECRET, "ada") == pseudonym(SECRET, "ada") != pseudonym(new_secret(), "ada")


@pytest.mark.parametrize("key", [KEY, KeyName("t-1", 2), KeyName("b-1", 0, "p-9", 4)])
def test_a_keys_name_is_read_as_it_is_written(key: KeyName) -> None:
    assert KeyName.parse(str(key)) == key


@pytest.mark.parametrize("text", ["", "b-1", "b-1/x", "b-1/1/p", "b-1/1/p-1/x", "a/1/b/2/c"])
def test_what_names_no_key_is_refused(text: str) -> None:
    with pytest.raises(Tampered):
        KeyName.parse(text)


async def test_a_keyring_wraps_with_its_first_key_and_unwraps_with_all() -> None:
    old, new = (base64.b64encode(new_secret()).decode() for _ in range(2))
    ring = Keyring({"old": old})
    wrapped = await ring.wrap(await ring.primary(), b"secret", "record")
    both = Keyring({"new": new, "old": old})
    assert await both.primary() == "new"
    assert await both.unwrap("old", wrapped, "record") == b"secret"
    with pytest.raises(Tampered):
        await both.unwrap("old", wrapped, "another record")
    with pytest.raises(Tampered):
        await both.unwrap("new", wrapped, "record")
    with pytest.raises(KeyMissing, match="'old'"):
        await Keyring({"new": new}).unwrap("old", wrapped, "record")


async def test_a_keyring_is_read_from_the_environment_when_it_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ring = Keyring.from_env("TEST_KEYS")
    with pytest.raises(InvalidSettings, match=r"\$TEST_KEYS holds no key"):
        await ring.primary()
    monkeypatch.setenv("TEST_KEYS", f"{new_key('k2')},{new_key('k1')}")
    assert await ring.primary() == "k2"
    assert await ring.holds("k1")
    assert not await ring.holds("k3")
    assert "k2, k1" in repr(ring)
    for secret in ring._keys.values():
        assert base64.b64encode(secret).decode() not in repr(ring)


async def test_a_keyring_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# ours\n{new_key('k2')} # since May\n\n{new_key('k1')}\n")
    assert await Keyring.from_file(path).primary() == "k2"
    with pytest.raises(InvalidSettings, match="cannot be read: No such file"):
        await Keyring.from_file(tmp_path / "none").primary()


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({}, "at least one key"),
        ({"k": "c2hvcnQ="}, "not 32 bytes"),
        ({"k": "no base64!"}, "not 32 bytes"),
        ({"a key": new_key("k").partition(":")[2]}, "cannot be the id"),
    ],
)
def test_what_cannot_be_a_keyring_is_refused(keys: dict[str, str], reason: str) -> None:
    with pytest.raises(InvalidSettings, match=reason):
        Keyring(keys)


async def test_an_invalid_key_line_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEST_KEYS", "hunter2")
    with pytest.raises(InvalidSettings) as caught:
        await Keyring.from_env("TEST_KEYS").primary()
    assert "hunter2" not in str(caught.value)
