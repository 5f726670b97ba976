from __future__ import annotations

from examples.support_agent.data import KNOWLEDGE_BASE, RELEASE_NOTES, TICKETS


def test_every_id_is_used_once() -> None:
    ids = [record.id for record in (*TICKETS, *KNOWLEDGE_BASE, *RELEASE_NOTES)]
    assert len(ids) == len(set(ids))


def test_the_trap_is_set() -> None:
    article = next(article for article in KNOWLEDGE_BASE if article.id == "KB4")
    note = next(note for note in RELEASE_NOTES if note.id == "RN2")
    assert "upvote button" in article.content
    assert note.content == "Remove the upvote feature"


def test_the_critical_ticket_is_the_one_a_developer_is_asked_about() -> None:
    assert [ticket.id for ticket in TICKETS if ticket.priority == "critical"] == ["T125"]
