"""Search by words: a text is found when it shares a telling word with the query.

Searching for the whole query as one string finds nothing as soon as people and authors choose
other words: "users endpoint" must find "Introduced the user management service".
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
    """The telling words of `text`: lower case, singular, without the common ones."""
    found = _WORD.findall(text.casefold())
    return {_singular(word) for word in found if word not in _COMMON}


def search(items: Sequence[T], query: str, text: Callable[[T], str]) -> list[T]:
    """The items that share a word with `query`, most shared words first, else in their order."""
    wanted = words(query)
    scored = [(len(wanted & words(text(item))), item) for item in items]
    ranked = sorted(scored, key=lambda pair: pair[0], reverse=True)
    return [item for score, item in ranked if score]


def _singular(word: str) -> str:
    plural = len(word) >= _SHORTEST_PLURAL and word.endswith("s") and not word.endswith("ss")
    return word[:-1] if plural else word
