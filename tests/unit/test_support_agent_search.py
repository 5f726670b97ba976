from __future__ import annotations

import pytest

from examples.support_agent.data import KNOWLEDGE_BASE, RELEASE_NOTES
from examples.support_agent.search import search, words


def articles(query: str) -> list[str]:
    found = search(KNOWLEDGE_BASE, query, lambda article: f"{article.title} {article.content}")
    return [article.id for article in found]


def notes(query: str) -> list[str]:
    found = search(RELEASE_NOTES, query, lambda note: f"{note.version} {note.content}")
    return [note.id for note in found]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("users endpoint", ["RN3"]),
        ("/api/v1/users", ["RN3"]),
        ("USER", ["RN3"]),
        ("upvote", ["RN2"]),
        ("upvotes", ["RN2"]),
        ("login service", ["RN1", "RN3"]),
        ("v1.1.2", ["RN2"]),
        ("v1", []),
        ("the is not working", []),
        ("", []),
        ("%' OR 1=1 --", []),
    ],
)
def test_release_notes(query: str, found: list[str]) -> None:
    assert notes(query) == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("Cannot login", ["KB1"]),
        ("How can I upvote an item?", ["KB4"]),
        ("api reference", ["KB2"]),
        ("Which Chrome version?", ["KB3"]),
        ("invoice", []),
    ],
)
def test_knowledge_base(query: str, found: list[str]) -> None:
    assert articles(query) == found


def test_words_of_every_script_count() -> None:
    assert words("Ошибка входа: 登录 ÉCHEC") == {"ошибка", "входа", "登录", "échec"}


def test_a_double_s_is_not_a_plural() -> None:
    assert words("access process users gas") == {"access", "process", "user", "gas"}
