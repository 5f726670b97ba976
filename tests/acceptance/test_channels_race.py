"""Three people race for one question, in Slack, by mail and with the nats CLI, as its worker dies.

`layby notify` sends the card and the mail and listens to Slack, a console serves the links of the
mail, and a second worker starts while the first one dies with an answer in its hands.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from layby.actors.people.answer import Receipt
from layby.actors.people.answer_link import LinkKeys
from layby.bus.reading import every, sequence
from layby.runtime.card_records import Notified
from layby.runtime.entry import Answered, Stepped
from layby.runtime.envelope import decode
from layby.testing import TestRuntime
from layby.views.rows import QuestionRow
from tests.acceptance.test_console_guard import FORM, Reply, Visitor
from tests.command import Command
from tests.engine import until
from tests.examples import proofs_but
from tests.fix_browser import console_on
from tests.fix_layby import WITHIN, Desk
from tests.fix_slack import APP_TOKEN, BOT_TOKEN, FakeSlack, Posted
from tests.fix_smtp import SENDER, PostOffice
from tests.race_app import LEDGER, SLACK

pytestmark = [
    pytest.mark.nats,
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.skipif(shutil.which("nats") is None, reason="needs the nats CLI"),
]

Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]
TARGET = "tests.race_app:app"
KEY = "k" * 32
ANSWERS, RECEIPTS = "developer.response.T1.>", "developer.receipt.T1"
SUBJECTS = {
    "developer.response.T1.ada.via-slack": "ada",
    "developer.response.T1.bob.via-link": "bob",
    "developer.response.T1.cleo": "cleo",
}
"""Where each of them answers."""
AMOUNTS = {"ada": "all", "bob": "half", "cleo": "nothing"}
VOUCHED = {"ada": "slack", "bob": "link", "cleo": "nats"}


@dataclass
class Race:
    """One open question, and whoever races for it."""

    rt: TestRuntime
    desk: Desk
    fake: FakeSlack
    office: PostOffice
    visitor: Visitor
    run: str = ""
    card: Posted | None = None
    """The question in Slack."""
    link: str = ""
    """The path of a link in the mail to bob, which answers with his amount."""
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once somebody has answered."""
    receipts: dict[int, list[Receipt]] = field(default_factory=lambda: defaultdict(list))
    """All receipts as they are published, by the answer's sequence."""
    page: Reply | None = None
    """What bob was shown after he had answered."""

    # -- how each of them answers --------------------------------------------------------------

    async def ada(self) -> None:
        """Press a button in Slack."""
        assert self.card is not None
        await self.fake.press("U0ADA", self.card, AMOUNTS["ada"])

    async def bob(self) -> None:
        """Press the button of the page to which the link in the mail leads."""
        self.page = await self.visitor.ask("POST", self.link, b"", Content_Type=FORM)

    async def cleo(self) -> None:
        """Publish with the nats CLI."""
        body = json.dumps({"answer": AMOUNTS["cleo"]})
        line = ["pub", "-J", "--no-templates", "developer.response.T1.cleo", body]
        process = await asyncio.create_subprocess_exec(
            "nats", "-s", self.desk.url, *line, env=self.desk.environ,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, said = await process.communicate()
        assert process.returncode == 0, said.decode()

    async def start(self, first: str) -> None:
        """Have everybody answer at once; or somebody, and the others when that is on its way."""
        everybody = {"ada": self.ada, "bob": self.bob, "cleo": self.cleo}
        others = [act for name, act in everybody.items() if name != first]

        async def after_the_first() -> None:
            if first:
                await asyncio.wait_for(self.heard.wait(), WITHIN)
            await asyncio.gather(*(act() for act in others))

        async def second_worker() -> None:
            await asyncio.wait_for(self.heard.wait(), WITHIN)
            await asyncio.to_thread(self.desk.start_worker, app=TARGET)

        leading = [everybody[first]()] if first else []
        await asyncio.gather(*leading, after_the_first(), second_worker())

    # -- what came of it -----------------------------------------------------------------------

    async def stored(self) -> dict[int, str]:
        """Who has answered, by sequence."""
        answers = every(self.rt._requests, "ANSWERS", ANSWERS)
        return {sequence(each): SUBJECTS[each.headers["Nats-Subject"]] async for each in answers}

    async def records(self, kind: type[Any]) -> list[Any]:
        """The records of a kind in the run's log."""
        entries = [decode(each.data) for each in await self.rt._log.load(self.run)]
        return [each for entry in entries for each in entry.records if isinstance(each, kind)]

    def too_late(self) -> set[str]:
        """Bob, if the page knew already that another had won, and so stored nothing."""
        assert self.page is not None
        return {"bob"} if "</bdi> has answered.</b>" in self.page.body else set()

    async def shown(self) -> str:
        """The page to which the link leads now."""
        return (await self.visitor.ask("GET", self.link)).body


@asynccontextmanager
async def listening(race: Race) -> AsyncGenerator[None]:
    """Hear answers and receipts as they are published."""

    async def answered(_: Any) -> None:
        race.heard.set()

    async def receipt(message: Any) -> None:
        found = msgspec.json.decode(message.data, type=Receipt)
        race.receipts[found.seq].append(found)

    nc = race.rt._requests.nc
    subscriptions = [
        await nc.subscribe(ANSWERS, cb=answered),
        await nc.subscribe(RECEIPTS, cb=receipt),
    ]
    await nc.flush()
    yield
    for each in subscriptions:
        await each.unsubscribe()


@pytest.fixture
async def race(
    layby_running: Running,
    fake_slack: FakeSlack,
    office: PostOffice,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Race]:
    for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "LAYBY_SMTP", "LAYBY_SMTP_FROM"):
        monkeypatch.delenv(name)  # of all processes, only `layby notify` has them
    monkeypatch.setenv(LEDGER, str(tmp_path / "ledger"))
    async with (
        layby_running(TARGET, workers=0, within=60) as rt,
        console_on(rt.settings, links=LinkKeys(KEY)) as serving,
    ):
        desk = Desk(tmp_path, rt.settings.servers[0])
        environ = {
            "SLACK_BOT_TOKEN": BOT_TOKEN,
            "SLACK_APP_TOKEN": APP_TOKEN,
            SLACK: fake_slack.url,
            "LAYBY_SMTP": office.url,
            "LAYBY_SMTP_FROM": SENDER,
            "LAYBY_LINK_KEY": KEY,
            "LAYBY_CONSOLE_URL": serving.url,
        }
        notify = desk.start("notify", TARGET, **environ)
        made = Race(rt, desk, fake_slack, office, Visitor(serving))
        try:
            async with listening(made):
                yield made
        finally:
            notify.close()
            await asyncio.to_thread(desk.stop_workers)


async def asked(race: Race) -> QuestionRow:
    """The question, once it is in Slack and in the mailbox, and bob has opened all of his links."""
    race.run = await race.rt.send("racing.refund.requested", {"ticket": "T1", "amount": 900})
    row = await race.rt.question()
    await until(lambda: _when(bool(race.fake.cards()) and bool(race.office.mails)), WITHIN)
    [race.card], [mail] = race.fake.cards(), race.office.mails
    assert mail.to == ["bob@acme.example"]
    await until(lambda: _recorded(race, 2), WITHIN)
    before = await race.rt.client.show(race.run)
    links: list[str] = re.findall(r"^http://\S+$", mail.part("plain"), re.MULTILINE)
    for path in (str(urlsplit(each).path) for each in links):
        await race.visitor.ask("GET", path)
        page = await race.visitor.ask("GET", path)
        if path.startswith("/answer/") and f"Answer: {AMOUNTS['bob']}" in page.body:
            race.link = path
    assert await race.stored() == {}, "opening a link changes nothing"
    assert await race.rt.client.show(race.run) == before
    assert race.link
    return row


async def raced(race: Race, doomed: Command, first: str) -> tuple[int, str]:
    """Let them race while the worker dies; the sequence of the first answer, and whose it is."""
    await race.start(first)
    assert await asyncio.to_thread(doomed.wait, WITHIN) == -signal.SIGKILL
    expected = AMOUNTS.keys() - race.too_late()
    await until(lambda: _stored(race, len(expected)), WITHIN)
    stored = await race.stored()
    assert sorted(stored.values()) == sorted(expected)
    await until(lambda: _when(len(race.receipts) >= len(stored)), WITHIN)
    await race.rt.ended(race.run)
    assert await race.stored() == stored
    winner = min(stored)
    if first:
        assert stored[winner] == first
    return winner, stored[winner]


@pytest.mark.parametrize(
    ("point", "first"),
    proofs_but(
        1,
        [
            ("before_answered", "ada"),
            ("after_answered", "bob"),
            ("after_receipt", "cleo"),
            ("before_answered", ""),
            ("after_receipt", ""),
        ],
    ),
)
async def test_the_first_answer_counts_wherever_it_was_given_and_whatever_dies(
    race: Race, point: str, first: str
) -> None:
    doomed = await asyncio.to_thread(partial(race.desk.start_worker, app=TARGET, LAYBY_CRASH=point))
    question = await asked(race)
    seq, name = await raced(race, doomed, first)
    assert {n: {each.outcome for each in found} for n, found in race.receipts.items()} == {
        n: {"accepted" if n == seq else "already_answered"} for n in await race.stored()
    }
    assert {each.by for found in race.receipts.values() for each in found} == {name}
    await resumed_once(race, seq, name)
    await told(race, name)
    await decided(race, question.id, name)


async def resumed_once(race: Race, seq: int, name: str) -> None:
    """Check that the run went on once, with the first answer."""
    amount = AMOUNTS[name]
    assert await race.rt.result(race.run) == {
        "paid": f"paid back: {amount}",
        "by": name,
        "vouched": VOUCHED[name],
    }
    [answered] = await race.records(Answered)
    assert (answered.seq, answered.text, answered.by) == (seq, amount, name)
    assert len(await race.records(Stepped)) == 1
    requests = (race.desk.folder / "ledger").read_text().splitlines()
    assert len(set(requests)) == 1, "one amount, and one idempotency key"
    assert json.loads(requests[0])[1] == amount
    assert len(requests) <= 2, "again at most for the one death"


async def told(race: Race, name: str) -> None:
    """Check that all who look are told who won, and those who lost too."""
    card = race.card
    assert card is not None
    amount = AMOUNTS[name]
    await until(lambda: _when(f"{name} answered: {amount}" in card.words), WITHIN)
    assert card.labels == []
    assert race.fake.cards() == [card]
    whisper = "Your answer counts." if name == "ada" else f"{name} was faster"
    await until(lambda: _when(bool(race.fake.told("U0ADA"))), WITHIN)
    [said] = race.fake.told("U0ADA")
    assert whisper in said or said.startswith("Stored: ")
    page = "Your answer counts." if name == "bob" else f"<bdi>{name}</bdi> was faster"
    assert race.page is not None
    assert race.too_late() or page in race.page.body or "<b>Stored.</b>" in race.page.body
    lasting = "You have answered" if name == "bob" else f"<bdi>{name}</bdi> has answered"
    await until(lambda: _shows(race, lasting), WITHIN)
    assert [mail.to for mail in race.office.mails] == [["bob@acme.example"]]


async def decided(race: Race, question: str, name: str) -> None:
    """Check that the decision's file proves who has decided."""
    options = ["--run", race.run, "--out", "decision.json"]
    await asyncio.to_thread(race.desk.json, "decision", question, *options)
    verified = await asyncio.to_thread(race.desk.run, "verify", "decision.json")
    assert verified.returncode == 0, verified.stdout
    file = json.loads((race.desk.folder / "decision.json").read_text())
    outcome = file["outcome"]
    assert (outcome["answer"], outcome["by"]) == (AMOUNTS[name], name)
    assert len(file["answers"]) == len(race.receipts)


async def _stored(race: Race, count: int) -> bool:
    return len(await race.stored()) >= count


async def _recorded(race: Race, count: int) -> bool:
    return len(await race.records(Notified)) == count


async def _shows(race: Race, words: str) -> bool:
    return words in await race.shown()


async def _when(holds: bool) -> bool:  # noqa: FBT001
    return holds
