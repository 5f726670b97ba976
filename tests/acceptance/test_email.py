"""Questions as mails, against a real mail server."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from layby.channels import ChannelError, Undeliverable, email
from layby.runtime.errors import InvalidSetup
from layby.testing import check_channel
from tests.cards import approval, card
from tests.fix_smtp import PostOffice, post_office

PEOPLE = {"ada": "ada@acme.example", "bob": "bob@acme.example"}
LINK_KEY = "k" * 32


@pytest.fixture
def links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYBY_LINK_KEY", LINK_KEY)
    monkeypatch.setenv("LAYBY_CONSOLE_URL", "https://layby.acme.example/")


async def test_a_question_becomes_a_mail_to_the_role(office: PostOffice) -> None:
    assert email("dev@acme.example").missing() == ""
    await email("dev@acme.example").send(card(text="What about T125, and the größte Kunde?"))
    [mail] = office.mails
    assert mail.to == ["dev@acme.example"]
    assert mail.message["From"] == "Layby <layby@acme.example>"
    assert mail.message["Subject"] == "[T125] developer: What about T125, and the größte Kunde?"
    assert mail.message["Auto-Submitted"] == "auto-generated"
    for part in (mail.part("plain"), mail.part("html")):
        assert "größte Kunde" in part
        assert "It is urgent." in part
        assert "2026-11-30 01:53 UTC. If nobody answers: the run goes on with an error" in part
        assert "nats pub -J --no-templates developer.response.T125" in part
    assert mail.raw.isascii()


async def test_an_approval_shows_the_exact_arguments_and_the_digest(office: PostOffice) -> None:
    await email("dev@acme.example").send(approval(arguments='{"cents": 900, "to": "<b>eve</b>"}'))
    [mail] = office.mails
    assert '> {"cents": 900, "to": "<b>eve</b>"}' in mail.part("plain")
    assert "&lt;b&gt;eve&lt;/b&gt;" in mail.part("html")
    assert "> 3f9a1c07be55" in mail.part("plain")


@pytest.mark.usefixtures("office", "links")
@pytest.mark.parametrize("closing", [False, True])
async def test_it_keeps_the_rules_of_channels(*, closing: bool) -> None:
    await check_channel(email("dev@acme.example", people=PEOPLE, links="all", closing=closing))


async def test_a_mail_that_is_sent_again_has_the_same_id(office: PostOffice) -> None:
    """Another worker sends it again if the first one died before it was recorded."""
    for _ in range(2):
        await email("dev@acme.example", people=PEOPLE).send(card(told=("ada",)))
    first, again = office.mails
    assert first.message["Message-ID"] == again.message["Message-ID"]
    await email("dev@acme.example", people=PEOPLE).send(card(told=("bob",)))
    await email("dev@acme.example").send(card(key="another"))
    assert len({mail.message["Message-ID"] for mail in office.mails}) == 3


async def test_two_workers_at_once_send_the_same_mail(office: PostOffice) -> None:
    """Neither knows of the other: whoever gets both sees one, as they have the same id."""
    workers = [email("dev@acme.example", people=PEOPLE) for _ in range(2)]
    refs = await asyncio.gather(*(each.send(card(told=("ada", "bob"))) for each in workers))
    assert refs[0] == refs[1]
    sent = sorted((mail.to[0], str(mail.message["Message-ID"])) for mail in office.mails)
    assert len(sent) == 4
    assert sent[::2] == sent[1::2]


async def test_a_reminder_belongs_to_the_thread_of_the_question(office: PostOffice) -> None:
    channel = email("dev@acme.example", people=PEOPLE)
    first = await channel.send(card(told=("ada", "bob")))
    await channel.send(card(key="r", kind="reminder", number=2, first=first, told=("bob",)))
    *_, bob, reminder = office.mails
    assert reminder.to == ["bob@acme.example"]
    assert reminder.message["In-Reply-To"] == bob.message["Message-ID"]
    assert reminder.message["References"] == bob.message["Message-ID"]
    assert reminder.message["Subject"].startswith("Re: [T125]")
    assert "Reminder 2" in reminder.part("plain")


@pytest.mark.parametrize(
    ("to", "asked", "reached"),
    [
        ("dev@acme.example", {}, ["dev"]),
        ("dev@acme.example", {"told": ("ada",)}, ["ada"]),
        ("dev@acme.example", {"told": ("ada", "bob")}, ["ada", "bob"]),
        ("dev@acme.example", {"told": ("ada", "cleo")}, ["ada", "dev"]),
        ("dev@acme.example", {"told": ("cleo",)}, ["dev"]),
        ("dev@acme.example", {"to": "person:bob"}, ["bob"]),
        ("", {}, ["ada", "bob"]),
        ("", {"told": ("ada", "cleo")}, ["ada"]),
    ],
)
async def test_the_people_to_be_told_get_the_mail(
    office: PostOffice, to: str, asked: dict[str, Any], reached: list[str]
) -> None:
    await email(to, people=PEOPLE).send(card(**asked))
    assert [mail.to for mail in office.mails] == [[f"{name}@acme.example"] for name in reached]


async def test_without_any_known_address_a_card_is_undeliverable(office: PostOffice) -> None:
    with pytest.raises(Undeliverable, match="no address of cleo"):
        await email(people=PEOPLE).send(card(told=("cleo",)))
    assert office.mails == []


@pytest.mark.usefixtures("links")
async def test_links_answer_in_the_name_of_one_person(office: PostOffice) -> None:
    await email(people=PEOPLE).send(card(choices=("yes", "no")))
    ada, bob = ([*_links(mail.part("plain"))] for mail in office.mails)
    assert len(ada) == len(bob) == 3
    assert ada[:2] != bob[:2]
    assert ada[2] == "https://layby.acme.example/inbox/q9af2e02bd1184"
    assert all(link.replace("&", "&amp;") in office.mails[0].part("html") for link in ada)
    assert "Do not forward" in office.mails[0].part("plain")


@pytest.mark.usefixtures("links")
async def test_a_mail_to_several_people_has_no_link_that_answers(office: PostOffice) -> None:
    await email("dev@acme.example", people=PEOPLE).send(card(choices=("yes", "no")))
    [mail] = office.mails
    assert [*_links(mail.part("plain"))] == ["https://layby.acme.example/inbox/q9af2e02bd1184"]


@pytest.mark.usefixtures("links")
@pytest.mark.parametrize(
    ("mode", "changes", "offered"),
    [
        ("safe", {}, ["Reject", "Open in the console"]),
        ("all", {}, ["Approve", "Reject", "Open in the console"]),
        ("all", {"arguments": "x" * 20_001}, ["Reject", "Open in the console"]),
        ("all", {"arguments": ""}, ["Reject", "Open in the console"]),
        ("all", {"text": "(encrypted)", "arguments": ""}, ["Open in the console"]),
        ("none", {}, ["Open in the console"]),
        ("all", {"accept": ("nats", "signature")}, ["Open in the console"]),
        ("all", {"accept": ("nats", "link")}, ["Approve", "Reject", "Open in the console"]),
    ],
)
async def test_destructive_calls_have_links_only_if_that_is_wanted(
    office: PostOffice, mode: Any, changes: dict[str, Any], offered: list[str]
) -> None:
    await email(people={"ada": "ada@acme.example"}, links=mode).send(approval(**changes))
    text = office.mails[0].part("plain")
    assert re.findall(r"^([\w ]+):\nhttps://", text, re.MULTILINE) == offered


async def test_without_a_key_or_a_console_there_are_no_links(office: PostOffice) -> None:
    await email(people={"ada": "ada@acme.example"}, links="all").send(approval())
    assert "http" not in office.mails[0].part("plain")


async def test_a_closed_question_is_reported_in_the_thread_if_that_is_wanted(
    office: PostOffice,
) -> None:
    closed = card(status="answered", outcome="ada answered: Fixed in v1.1.4", by="ada")
    for closing in (False, True):
        channel = email("dev@acme.example", closing=closing)
        ref = await channel.send(card(key=f"{closing}"))
        for _ in range(2):
            await channel.update(ref, card(key=f"{closing}"))
            await channel.close(ref, closed)
    _, question, told = office.mails
    assert told.message["In-Reply-To"] == question.message["Message-ID"]
    assert "ada answered: Fixed in v1.1.4" in told.part("plain")


async def test_two_workers_that_close_it_at_the_same_time_send_one_mail(office: PostOffice) -> None:
    channel = email("dev@acme.example", closing=True)
    closed = card(status="answered", outcome="ada answered: yes", by="ada")
    await asyncio.gather(*(channel.close("<1@acme.example> *", closed) for _ in range(5)))
    assert len(office.mails) == 1


async def test_an_address_that_is_refused_for_good_is_undeliverable(office: PostOffice) -> None:
    office.refused["dev@acme.example"] = "550 5.1.1 <dev@acme.example> no such\x1b[2J user"
    with pytest.raises(Undeliverable, match=r"the address of the role: 550 5\.1\.1") as refused:
        await email("dev@acme.example").send(card())
    assert "dev@acme" not in str(refused.value)
    assert "\x1b" not in str(refused.value)


async def test_one_refused_recipient_does_not_stop_the_other(office: PostOffice) -> None:
    office.refused["ada@acme.example"] = "550 5.1.1 no such user"
    assert await email(people=PEOPLE).send(card())
    assert [mail.to for mail in office.mails] == [["bob@acme.example"]]
    office.refused["bob@acme.example"] = "550 5.1.1 no such user"
    with pytest.raises(Undeliverable):
        await email(people=PEOPLE).send(card())


async def test_greylisting_is_tried_again_and_nobody_gets_two_mails(office: PostOffice) -> None:
    office.greylisted.add("bob@acme.example")
    channel = email(people=PEOPLE)
    with pytest.raises(ChannelError, match="451") as later:
        await channel.send(card())
    assert not isinstance(later.value, Undeliverable)
    await channel.send(card())
    assert [mail.to for mail in office.mails] == [["ada@acme.example"], ["bob@acme.example"]]


async def test_content_that_is_refused_is_told_apart_by_its_code(office: PostOffice) -> None:
    office.at_data = "554 5.7.1 looks like spam"
    with pytest.raises(Undeliverable, match="554"):
        await email("dev@acme.example").send(card())
    office.at_data = "452 4.3.1 no room"
    with pytest.raises(ChannelError, match="452") as later:
        await email("dev@acme.example").send(card())
    assert not isinstance(later.value, Undeliverable)


async def test_a_server_that_hangs_holds_up_nobody_else(office: PostOffice) -> None:
    office.hangs = asyncio.Event()
    stuck = asyncio.create_task(email("dev@acme.example").send(card()))
    await office.came.wait()
    office.hangs.set()
    await stuck
    office.hangs = asyncio.Event()
    office.came.clear()
    stuck = asyncio.create_task(email("dev@acme.example").send(card()))
    await office.came.wait()
    stuck.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stuck
    office.hangs.set()


async def test_a_server_that_hangs_up_or_is_away_is_tried_again(
    office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.breaks_off = True
    channel = email("dev@acme.example")
    with pytest.raises(ChannelError, match="broke off"):
        await channel.send(card())
    office.breaks_off = False
    await channel.send(card())
    first, again = office.mails
    assert first.message["Message-ID"] == again.message["Message-ID"]
    monkeypatch.setenv("LAYBY_SMTP", "smtp://127.0.0.1:1")
    with pytest.raises(ChannelError, match="cannot be reached"):
        await channel.send(card(key="2"))


async def test_the_login_is_used_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYBY_SMTP_FROM", "layby@acme.example")
    async with post_office(login=True) as office:
        monkeypatch.setenv("LAYBY_SMTP", office.url)
        await email("dev@acme.example").send(card())
        assert len(office.mails) == 1
        monkeypatch.setenv("LAYBY_SMTP", office.url.replace("p%40ss", "geheim"))
        with pytest.raises(ChannelError, match="refuses the login") as refused:
            await email("dev@acme.example").send(card())
        assert "geheim" not in str(refused.value)
        assert "geheim" not in repr(refused.value.__context__)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("LAYBY_SMTP", "", "LAYBY_SMTP is not set"),
        ("LAYBY_SMTP", "mail.acme.example", "not the URL of a mail server"),
        ("LAYBY_SMTP", "http://u:geheim@mail.acme.example", "not the URL of a mail server"),
        ("LAYBY_SMTP", "smtp://u:geheim@mail.acme.example", "has a password and no TLS"),
        ("LAYBY_SMTP", "smtp://u:geheim@[", "not the URL of a mail server"),
        ("LAYBY_SMTP", "smtp://mail:99999", "not the URL of a mail server"),
        ("LAYBY_SMTP_FROM", "", "LAYBY_SMTP_FROM is not set"),
        ("LAYBY_SMTP_FROM", "Layby", "is not a sender"),
        ("LAYBY_SMTP_FROM", "a@b.example, c@d.example", "is not a sender"),
        ("LAYBY_SMTP_FROM", "a@b.example\r\nBcc: eve@evil.example", "is not a sender"),
        ("LAYBY_LINK_KEY", "short", "needs 32"),
        ("LAYBY_LINK_KEY", LINK_KEY, "LAYBY_CONSOLE_URL is not"),
        ("LAYBY_CONSOLE_URL", "javascript:alert(1)", "not the address of a console"),
        ("LAYBY_CONSOLE_URL", "https://u:geheim@acme.example", "not the address of a console"),
    ],
)
@pytest.mark.usefixtures("office")
async def test_missing_settings_are_named_without_secrets(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    channel = email("dev@acme.example")
    assert said in channel.missing()
    assert "geheim" not in channel.missing()
    with pytest.raises(ChannelError, match=said.split(maxsplit=1)[0]):
        await channel.send(card())


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"to": "dev"},
        {"to": "dev@acme.example\r\nBcc: eve@evil.example"},
        {"to": "a@acme.example, b@acme.example"},
        {"to": "dev@acme.example", "people": {"a b": "ada@acme.example"}},
        {"to": "dev@acme.example", "people": {"ada": "<ada@acme.example>"}},
        {"to": "dev@acme.example", "links": "some"},
    ],
)
def test_an_invalid_address_is_refused_where_it_is_declared(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidSetup):
        email(**wrong)


def _links(text: str) -> list[str]:
    return re.findall(r"^https://\S+$", text, re.MULTILINE)
