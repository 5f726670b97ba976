"""Attachments as a model that does not get them reads of them, and what counts as text."""

from __future__ import annotations

from typing import Any

import pytest

from layby.actors.models.attachment import checked_attachments, mentioning
from layby.actors.models.marks import mark, whole_items
from layby.models import Document, Image
from layby.runtime.errors import InvalidSetup


@pytest.mark.parametrize(
    ("attachment", "line"),
    [
        (Image(data=b"\x89PNG\r\n"), "[Attached: an image, image/png]"),
        (Image(url="https://a.test/i"), "[Attached: an image, https://a.test/i]"),
        (Document(data=b"%PDF-"), "[Attached: a document, application/pdf]"),
        (Document(url="https://a.test/d", name="d.pdf"), "[Attached: d.pdf, https://a.test/d]"),
    ],
)
def test_a_model_that_gets_no_attachments_reads_what_they_are(
    attachment: Image | Document, line: str
) -> None:
    assert mentioning("See", [attachment]) == f"See\n{line}"


def test_a_task_without_attachments_stays_as_it_is() -> None:
    assert mentioning("See", []) == "See"


@pytest.mark.parametrize(
    ("kind", "is_text"),
    [
        ("text/plain", True),
        ("text/csv", True),
        ("application/json", True),
        ("application/xml", True),
        ("application/yaml", True),
        ("application/pdf", False),
        ("image/png", False),
    ],
)
def test_which_documents_are_text(kind: str, *, is_text: bool) -> None:
    assert Document(data=b"x", media_type=kind).is_text is is_text
    assert not Document(url="https://a.test/d", media_type=kind).is_text


def test_text_that_is_not_utf_8_can_be_read_all_the_same() -> None:
    assert Document(data=b"caf\xe9", media_type="text/plain").text == "caf\ufffd"


@pytest.mark.parametrize("given", [[b"png"], [Image(url="https://a.test/i"), "i.png"], [None]])
def test_what_is_no_attachment_is_refused(given: list[Any]) -> None:
    with pytest.raises(InvalidSetup) as refused:
        checked_attachments("agent 'A'", given)
    kind = type(given[-1]).__name__
    expected = f"agent 'A': attachments are Image(...) and Document(...), not a {kind}"
    assert str(refused.value) == expected


def test_a_conversation_of_which_a_part_is_known_counts_its_whole_items_only() -> None:
    """The last item may have grown by a block since, so it counts only if it is whole."""
    items = [{"role": "user", "content": ["a", "b"]}, {"role": "tool"}, {"content": ["c"]}]
    marks = mark({"messages": items}).marks["messages"]
    assert [whole_items(marks, kept) for kept in range(len(marks) + 1)] == [0, 0, 0, 1, 2, 2, 3]
