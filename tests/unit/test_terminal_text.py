"""What is shown of a text in a terminal, and what is shown of the rest."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.runtime.untrusted_text import safe, safe_json

OBEYED = ("Cc", "Cf", "Zl", "Zp", "Cs")
ARABIC_SIGNS = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2")
"""Format characters by name, with a look of their own."""


def hostile() -> list[str]:
    """Every control and format character, and each variation selector and filler."""
    return [
        char
        for char in map(chr, range(sys.maxunicode + 1))
        if (
            unicodedata.category(char) in OBEYED
            or "VARIATION SELECTOR" in unicodedata.name(char, "")
        )
        and char not in "\n\t"
        and char not in ARABIC_SIGNS
    ]


def test_no_control_or_format_character_stays_between_letters() -> None:
    assert [char for char in hostile() if char in safe(f"a{char}b")] == []
    assert safe("\x1b[2J\x9b0m\x7f\u202e\U000e0041") == r"\x1b[2J\x9b0m\x7f\u202e\U000e0041"


def test_everything_that_has_a_look_stays() -> None:
    special = {*hostile(), "\u034f", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u3164", "\uffa0"}
    special |= {chr(code) for code in range(0x180B, 0x1810)}
    special |= {chr(code) for code in range(0x13440, 0x13460)}  # Unicode knows them since 15
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        if unicodedata.category(char) != "Cn" and char not in special:
            assert safe(char) == char, hex(code)


@pytest.mark.parametrize(
    "text", ["👩🏽‍💻 says ❤️ 1️⃣", "می‌روم", "क्‍ष", "line\n\tnext", "naïve Straße 東京"]
)
def test_scripts_and_emoji_keep_what_they_need(text: str) -> None:
    assert safe(text) == text


@pytest.mark.parametrize("text", ["ad\u200cmin", "pay\u200dpal", "a\ufe0fb", "\u200d", "1\ufe0f"])
def test_the_same_characters_hide_nothing_in_other_places(text: str) -> None:
    assert safe(text).isascii()


@given(st.text())
def test_json_means_the_same_and_holds_nothing_to_obey(text: str) -> None:
    document = json.dumps({"a": text}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    shown = safe_json(document).decode()
    assert json.loads(shown) == {"a": text}
    assert safe(shown) == shown
