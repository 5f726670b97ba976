"""What is promised of mails, webhooks and `only=`: each has a fault here that its test catches."""

from __future__ import annotations

import itertools
import secrets
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest
from _pytest.outcomes import Failed

from layby.actors.people import channel_pace
from layby.actors.people.answer_admission import AnswerAdmission
from layby.actors.people.card_attempts import CardAttempts
from layby.actors.people.channel_pace import Pace
from layby.actors.people.channels import email, webhook
from layby.actors.people.notifier import Notifier
from layby.testing import MemoryChannel
from layby.worker import notifying
from tests.acceptance.test_email import (
    test_a_mail_that_is_sent_again_has_the_same_id as same_mail,
)
from tests.acceptance.test_email import (
    test_greylisting_is_tried_again_and_nobody_gets_two_mails as greylisted,
)
from tests.acceptance.test_email_tls import (
    test_a_server_that_offers_no_tls_gets_neither_the_mail_nor_the_password as no_tls,
)
from tests.acceptance.test_email_tls import (
    test_a_wrong_certificate_gets_neither_the_mail_nor_the_password as wrong_certificate,
)
from tests.acceptance.test_notifier import (
    test_a_card_that_nobody_knows_of_is_found_and_closed_with_its_question as found_and_closed,
)
from tests.acceptance.test_notifier import (
    test_roles_that_share_a_channel_share_its_rest as shared_rest,
)
from tests.acceptance.test_notifier import (
    test_waiting_cards_are_shown_soon_after_their_channel_is_up_again as soon_after,
)
from tests.acceptance.test_only import test_nobody_else_can_answer as nobody_else
from tests.acceptance.test_webhook import (
    Receiver,
    receiver,
)
from tests.acceptance.test_webhook import (
    test_a_question_is_posted_as_a_cloud_event as cloud_event,
)
from tests.acceptance.test_webhook import (
    test_an_event_that_is_posted_again_has_the_same_id as same_event,
)
from tests.engine import Engine
from tests.fix_smtp import PostOffice

__all__ = ["receiver"]
pytestmark = pytest.mark.proof


async def test_a_mail_with_a_new_id_each_time_is_caught(
    office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = itertools.count()

    def new(domain: str, *_: str) -> str:
        return f"<{next(ids)}@{domain}>"

    monkeypatch.setattr(email, "message_id", new)
    with pytest.raises(AssertionError):
        await same_mail(office)


async def test_a_second_mail_to_recipients_that_have_theirs_is_caught(
    office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:

    def forget(*_: Any) -> None:
        """Keep nothing."""

    monkeypatch.setattr(email.Email, "_keep", forget)
    with pytest.raises(AssertionError):
        await greylisted(office)


def _trusting(monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    init = aiosmtplib.SMTP.__init__

    def trusting(client: Any, **given: Any) -> None:
        init(client, **{**given, **options})

    monkeypatch.setattr(aiosmtplib.SMTP, "__init__", trusting)


@pytest.mark.parametrize("kind", ["smtp+starttls", "smtps"])
async def test_an_unchecked_certificate_is_caught(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _trusting(monkeypatch, validate_certs=False)
    with pytest.raises(Failed, match="DID NOT RAISE"):
        await wrong_certificate(kind, "another host", tmp_path, monkeypatch)


async def test_tls_only_where_it_is_offered_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    _trusting(monkeypatch, start_tls=None)
    with pytest.raises(Failed, match="DID NOT RAISE"):
        await no_tls(monkeypatch)


async def test_a_signature_that_leaves_out_the_time_is_caught(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = webhook.signed

    def undated(id_: str, body: bytes, keys: list[bytes], at: int) -> dict[str, str]:
        return {**signed(id_, body, keys, 0), "webhook-timestamp": str(at)}

    monkeypatch.setattr(webhook, "signed", undated)
    with pytest.raises(ValueError, match="not signed by Layby"):
        await cloud_event(receiver)


async def test_an_event_with_a_new_id_each_time_is_caught(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:

    def new(*_: str) -> str:
        return secrets.token_hex(16)

    monkeypatch.setattr(webhook, "_id", new)
    with pytest.raises(AssertionError):
        await same_event(receiver)


@pytest.mark.nats
async def test_counting_an_answer_of_somebody_else_is_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    why_not = AnswerAdmission.why_not

    def anybody(rule: Any, ticket: str, question: Any, sent: Any) -> str:
        reason = why_not(rule, ticket, question, sent)
        return "" if reason.startswith("only ") else reason

    monkeypatch.setattr(AnswerAdmission, "why_not", anybody)
    with pytest.raises(AssertionError):
        await nobody_else(engine)


@pytest.mark.nats
async def test_leaving_an_unrecorded_card_open_is_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: Any) -> None:
        """Look for no card."""

    given = MemoryChannel.wait_closed.__defaults__ or ()
    monkeypatch.setattr(MemoryChannel.wait_closed, "__defaults__", (*given[:-1], 3.0))
    monkeypatch.setattr(Notifier, "_close_lost", nothing)
    with pytest.raises(TimeoutError):
        await found_and_closed(engine)


@pytest.mark.nats
async def test_pauses_that_double_for_each_card_are_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: dict[int, int] = {}

    def doubled(_: Any, message: Any, __: Any) -> float:
        counted[message.seq] = counted.get(message.seq, 0) + 1
        # Spread, or all would be tried again at one moment, by chance soon after the outage.
        return float(2 ** (counted[message.seq] - 1) * (1 + message.seq % 10 / 10))

    # Each card by itself: a channel that rests would hold the attempts of all until it is up.
    monkeypatch.setattr(Pace, "fails", property(lambda _: False))
    monkeypatch.setattr(CardAttempts, "pause", doubled)
    with pytest.raises(AssertionError, match="as long as the outage"):
        await soon_after(engine)


@pytest.mark.nats
async def test_calling_a_failing_channel_for_each_card_is_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_pace, "_CARDS", 1_000)
    with pytest.raises(AssertionError, match="in_vain"):
        await soon_after(engine)


@pytest.mark.nats
async def test_a_rest_known_to_one_role_only_is_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = itertools.count()

    def another(_: Any) -> int:
        return next(numbers)

    monkeypatch.setattr(notifying, "id", another, raising=False)
    with pytest.raises(AssertionError, match="asked_at"):
        await shared_rest(engine)
