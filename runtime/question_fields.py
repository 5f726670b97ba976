"""Which fields a question has, wherever it is: written down once, and copied by name.

A question is a record of the log (`Asked`), a part of a run's state (`Question`), of a ticket's
record and of the list of open ones (`ParkedQuestion`), a message to people, a row for the CLI and
`Client`, an event, and a line of the timeline. A field of the same name means the same in all of
them. tests/unit/test_question_fields.py says which shape leaves out which field, and why.
"""

from __future__ import annotations

from functools import cache
from operator import attrgetter
from typing import Any

CONTENT = ("question", "context", "agent", "form", "call")
"""What people read: encrypted if the question is confidential, and covered by a signature."""
TERMS = ("id", "role", "digest", "accept", "confidential", "quorum", "only")
"""Who may answer and how; nobody encrypts these."""
ASKED = (*TERMS, *CONTENT)


def fields_of(question: object, names: tuple[str, ...] = ASKED) -> dict[str, Any]:
    """These fields of a question, in any of its shapes, as keyword arguments for another shape."""
    return dict(zip(names, _getter(names)(question), strict=True))


@cache
def _getter(names: tuple[str, ...]) -> attrgetter[tuple[Any, ...]]:
    return attrgetter(*names)
