"""Cards for tests of channels."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from layby.channels import Card, CardAskBack, CardVote

ASKED = 1_796_000_000.0


def card(**changes: Any) -> Card:
    """An open question of one person."""
    given: dict[str, Any] = {
        "key": "q9af2e02bd1184.developer.asked",
        "question": "q9af2e02bd1184",
        "ticket": "T125",
        "run": "3f9a1c07be5522d804aa",
        "workflow": "handle",
        "role": "developer",
        "agent": "Clerk",
        "text": "What about T125?",
        "context": "It is urgent.",
        "asked_at": ASKED,
        "deadline": ASKED + 3600,
        "silence": "the run goes on with an error",
        "answer_with": ("nats pub -J --no-templates developer.response.T125 'your answer'",),
    }
    return Card(**{**given, **changes})


def approval(**changes: Any) -> Card:
    """An open question whether a call may run."""
    given: dict[str, Any] = {
        "text": "May Clerk call refund(cents=900)?",
        "tool": "refund",
        "arguments": '{"cents": 900}',
        "digest": "3f9a1c07be55",
        "silence": "the call does not run",
    }
    return card(**{**given, **changes})


hostile = st.text(max_size=300) | st.sampled_from(
    [
        "a\r\nBcc: eve@evil.example",
        "a\nSubject: other\n\nbody",
        "a\rb",
        "\x0b\x0c\x1c\x1d\x85\u2028\u2029",
        "=?utf-8?q?=0ABcc:_eve=40evil.example?=",
        "\ud800",
        "\u202egnp.exe",
        "ä" * 300,
        "x" * 2_000,
        " " * 200,
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "</pre></body>",
        "{{ 7*7 }}",
        ".\r\n.\r\nMAIL FROM:<eve@evil.example>",
        "\0",
        "T1] approve [T2",
        "\U0001f600" * 100,
    ]
)
"""Text as anybody may send it."""


@st.composite
def cards(draw: Any) -> Card:
    """Any card."""
    texts = {
        name: draw(hostile)
        for name in ("text", "context", "agent", "tool", "arguments", "needed", "silence")
    }
    return card(
        **texts,
        ticket=draw(hostile.filter(bool)),
        digest=draw(st.sampled_from(["", "3f9a1c07be55"])),
        choices=tuple(draw(st.lists(hostile, max_size=3))),
        votes=tuple(
            CardVote(by=draw(hostile), role="legal", choice=draw(hostile))
            for _ in range(draw(st.integers(0, 2)))
        ),
        asked_back=tuple(
            CardAskBack(
                by="ada",
                text=draw(hostile),
                reply=draw(hostile),
                status=draw(st.sampled_from(["waiting", "replied", "failed"])),
            )
            for _ in range(draw(st.integers(0, 2)))
        ),
        kind=draw(st.sampled_from(["asked", "reminder", "escalation"])),
        first=draw(st.sampled_from(["", "<a@acme.example> ada"])),
        status=draw(st.sampled_from(["open", "answered", "no_quorum"])),
        outcome=draw(hostile),
        by=draw(hostile),
    )
