"""The file of tokens: who is in it gets in, who is taken out of it is out at once."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.bus.errors import InvalidSettings
from layby.console.login import token_file
from layby.console.login.token_file import PREFIX, Responder, TokenFile, add_token, parsed

DIGEST = "0123456789abcdef" * 4


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


def rewritten(path: Path, text: str) -> None:
    """Replace the file, as an editor does."""
    other = path.with_suffix(".new")
    other.write_text(text)
    other.replace(path)


def test_a_token_that_was_added_is_known_by_its_name_and_roles(path: Path) -> None:
    token = add_token(path, "ada", ("developer", "lead"))
    found = TokenFile(path).find(token)
    assert found is not None
    assert (found.name, found.roles) == ("ada", frozenset({"developer", "lead"}))
    assert token.startswith(PREFIX)
    assert len(token) >= 47  # 256 bits


def test_the_file_holds_no_token_and_is_for_nobody_else(path: Path) -> None:
    token = add_token(path, "ada", ("lead",))
    text = path.read_text()
    assert token not in text
    assert token.removeprefix(PREFIX) not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_each_new_token_is_another_and_the_ones_before_it_stay_good(path: Path) -> None:
    tokens = [add_token(path, name, ("lead",)) for name in ("ada", "bob", "ada")]
    file = TokenFile(path)
    found = [file.find(each) for each in tokens]
    assert [each.name for each in found if each] == ["ada", "bob", "ada"]
    assert len(set(tokens)) == 3


def test_a_line_without_its_end_is_not_glued_to_the_next(path: Path) -> None:
    path.write_text(f"# ours\nbob lead sha256:{DIGEST}")
    token = add_token(path, "ada", ("lead",))
    assert [each.name for each in parsed(path.read_text(), "it")] == ["bob", "ada"]
    assert TokenFile(path).find(token) is not None
    assert "\n\n" not in path.read_text()


@pytest.mark.parametrize(
    "token", ["", PREFIX, "lbt_nobody", DIGEST, f"sha256:{DIGEST}", "\ud800", "ä" * 10_000]
)
def test_nobody_has_any_other_token(path: Path, token: str) -> None:
    path.write_text(f"bob lead sha256:{DIGEST}\n")
    assert TokenFile(path).find(token) is None


def test_who_is_taken_out_of_the_file_is_out_at_once(path: Path) -> None:
    ada, bob = (add_token(path, name, ("lead",)) for name in ("ada", "bob"))
    file = TokenFile(path)
    known = file.find(ada)
    assert known is not None
    assert file.has(known)
    rewritten(path, "".join(path.read_text().splitlines(keepends=True)[1:]))
    assert not file.has(known)
    assert file.find(ada) is None
    assert file.find(bob) is not None


def test_who_has_other_roles_now_is_not_who_they_were(path: Path) -> None:
    token = add_token(path, "ada", ("lead",))
    file = TokenFile(path)
    before = file.find(token)
    assert before is not None
    rewritten(path, path.read_text().replace(" lead ", " boss "))
    assert not file.has(before)
    after = file.find(token)
    assert after is not None
    assert after.roles == {"boss"}


def test_who_is_added_gets_in_without_a_restart(path: Path) -> None:
    add_token(path, "ada", ("lead",))
    file = TokenFile(path)
    bob = add_token(path, "bob", ("lead",))
    assert file.find(bob) is not None


@pytest.mark.parametrize("text", ["ada lead\n", "\udcff".encode("utf-8", "surrogateescape")])
def test_a_file_that_cannot_be_read_lets_nobody_in_until_it_can(
    path: Path, text: str | bytes
) -> None:
    token = add_token(path, "ada", ("lead",))
    good, file = path.read_bytes(), TokenFile(path)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    assert file.find(token) is None
    path.write_bytes(good)
    assert file.find(token) is not None


def test_a_file_that_has_gone_lets_nobody_in_until_it_is_back(path: Path) -> None:
    token = add_token(path, "ada", ("lead",))
    good, file = path.read_bytes(), TokenFile(path)
    path.unlink()
    assert file.find(token) is None
    assert file.find(token) is None
    path.write_bytes(good)
    assert file.find(token) is not None


def test_a_file_of_the_same_size_and_time_is_another_if_it_replaced_the_first(path: Path) -> None:
    token = add_token(path, "ada", ("lead",))
    file = TokenFile(path)
    before = path.stat()
    rewritten(path, path.read_text().replace("ada", "eve"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    found = file.find(token)
    assert found is not None
    assert found.name == "eve"


def test_comments_and_empty_lines_are_nobody() -> None:
    text = f"\n  # ada lead sha256:{DIGEST}\n\t\n  bob   lead+boss\tsha256:{DIGEST}  \n"
    assert parsed(text, "it") == [Responder("bob", frozenset({"lead", "boss"}), DIGEST)]
    assert parsed("", "it") == []


@pytest.mark.parametrize(
    "line",
    [
        "ada",
        "ada lead",
        f"ada sha256:{DIGEST}",
        f"ada lead {DIGEST}",
        f"ada lead md5:{DIGEST}",
        f"ada lead sha256:{DIGEST[1:]}",
        f"ada lead sha256:{DIGEST}0",
        f"ada lead sha256:{DIGEST.upper()}",
        f"ada lead sha256:{DIGEST} more",
        f"a.da lead sha256:{DIGEST}",
        f"* lead sha256:{DIGEST}",
        f"ada lead+ sha256:{DIGEST}",
        f"ada + sha256:{DIGEST}",
        f"ada lead,boss sha256:{DIGEST}",
        f"ada Lead sha256:{DIGEST}",
        f"ada 1lead sha256:{DIGEST}",
        f"ada > sha256:{DIGEST}",
        f"ada {'a' * 33} sha256:{DIGEST}",
    ],
)
def test_a_line_that_is_none_of_a_token_is_refused_with_its_number_and_what_to_write(
    line: str,
) -> None:
    with pytest.raises(InvalidSettings) as caught:
        parsed(f"# first\nbob lead sha256:{DIGEST}\n{line}\n", "/etc/tokens")
    said = str(caught.value)
    assert said.startswith("/etc/tokens, line 3: ")
    assert "`ada developer+lead sha256:...`" in said
    assert "layby token ada --role developer,lead --tokens FILE" in said
    assert DIGEST not in said


def test_the_longest_role_is_one() -> None:
    (found,) = parsed(f"ada {'a' * 32} sha256:{DIGEST}", "it")
    assert found.roles == {"a" * 32}


def test_a_file_that_is_too_large_is_not_read_line_by_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(token_file, "_LARGEST", 10)
    assert parsed("#" * 10, "it") == []
    with pytest.raises(InvalidSettings, match="it is larger than a file of tokens can be"):
        parsed("#" * 11, "it")


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("ada", ()),
        ("", ("lead",)),
        ("a.b", ("lead",)),
        ("a b", ("lead",)),
        ("ada", ("lead", "")),
        ("ada", ("Lead",)),
        ("ada", ("lead+boss",)),
        ("ada", ("lead\nbob",)),
        ("ada\nbob", ("lead",)),
        ("#ada", ("lead",)),
    ],
)
def test_a_name_or_role_that_cannot_be_one_is_not_written(
    path: Path, name: str, roles: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidSettings, match=r"use letters, digits, - and _") as caught:
        add_token(path, name, roles)
    assert repr(name) in str(caught.value)
    assert roles or "(none)" in str(caught.value)
    assert not path.exists()


def test_nothing_is_added_to_a_file_that_is_not_one_of_tokens(path: Path) -> None:
    path.write_text("passwords\n")
    with pytest.raises(InvalidSettings, match="line 1"):
        add_token(path, "ada", ("lead",))
    assert path.read_text() == "passwords\n"


def test_a_file_that_is_not_there_is_named_at_the_start(path: Path) -> None:
    with pytest.raises(InvalidSettings, match="cannot read the tokens in") as caught:
        TokenFile(path)
    assert str(path) in str(caught.value)


WORDS = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)
ROLES = st.frozensets(st.from_regex(r"[a-z][a-z0-9_-]{0,31}", fullmatch=True), min_size=1)


@given(st.lists(st.tuples(WORDS, ROLES)))
def test_what_lines_say_is_what_is_read_from_them(people: list[tuple[str, frozenset[str]]]) -> None:
    digests = [f"{number:064x}" for number in range(len(people))]
    lines = [
        f"{name} {'+'.join(sorted(roles))} sha256:{digest}"
        for (name, roles), digest in zip(people, digests, strict=True)
    ]
    expected = [Responder(*person, digest) for person, digest in zip(people, digests, strict=True)]
    assert parsed("\n".join(lines), "it") == expected


@given(st.text())
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    try:
        found = parsed(text, "it")
    except InvalidSettings:
        return
    assert all(each.roles for each in found)
