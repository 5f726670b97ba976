"""Search by words: a text is found if it shares a significant word with the query.

Searching for the whole query as one string finds nothing when people and authors choose different
words: "users endpoint" must find "Introduced the user management service".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

_WORD = re.compile(r"v?\d+(?:\.\d+)+|[^\W_]+")
_COMMON = frozenset(
    _WORD.findall(
        """a an and are as at be but by can cannot could do does for from has have how i in is it
        its me my no not of on or our please so that the their then there this to was we what when
        where which why will with work working you your"""
    )
)
_SHORTEST_PLURAL = 4


def words(text: str) -> set[str]:
    """The significant words of `text`: lower case, singular, without common words."""
    found = _WORD.findall(text.casefold())
    return {_singular(word) for word in found if word not in _COMMON}


def search(items: Sequence[T], query: str, text: Callable[[T], str]) -> list[T]:
    """The items that share a word with `query`, those with the most shared words first."""
    wanted = words(query)
    scored = [(len(wanted & words(text(item))), item) for item in items]
    ranked = sorted(scored, key=lambda pair: pair[0], reverse=True)
    return [item for score, item in ranked if score]


def _singular(word: str) -> str:
    plural = len(word) >= _SHORTEST_PLURAL and word.endswith("s") and not word.endswith("ss")
    return word[:-1] if plural else word
