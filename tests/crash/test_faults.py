"""The promises hold while processes die: the short form of `python -m tests.chaos`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from layby.runtime.crash import POINTS
from tests import ask_back_app, claims_app, ladder_app, notifier_app, votes_app
from tests.chaos import (
    cards,
    claims,
    consoles,
    deploys,
    disk,
    keys,
    ladders,
    logins,
    network,
    scenarios,
    votes,
)
from tests.chaos.campaign import Campaign, campaign
from tests.chaos.plan import one_of_each
from tests.chaos.report import Report

pytestmark = [pytest.mark.nats, pytest.mark.proof, pytest.mark.slow]


def kept(report: Report) -> Report:
    """The report, which must say that every promise was kept."""
    sys.stdout.write(report.text() + "\n")
    assert report.clean, report.text()
    return report


@pytest.mark.timeout(300)
async def test_a_worker_may_die_at_any_point(tmp_path: Path) -> None:
    async with campaign("crash points", tmp_path) as c:
        report = kept(await scenarios.crash_points(c))
    assert {f"worker killed at {point}" for point in scenarios.POINTS} <= set(report.faults)


@pytest.mark.timeout(300)
async def test_no_deploy_ends_a_run(tmp_path: Path) -> None:
    async with campaign("deploys", tmp_path) as c:
        report = kept(await deploys.deploys(c))
    assert {f"worker killed at {point}" for point in deploys.POINTS} <= set(report.faults)
    of_people = (*votes_app.POINTS, *ladder_app.POINTS, *claims_app.POINTS, *notifier_app.POINTS)
    in_tests = (*ask_back_app.POINTS, *(each for each in POINTS if each.startswith("purge_")))
    assert {*scenarios.POINTS, *deploys.POINTS, *of_people, *in_tests} == set(POINTS)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "scenario",
    [
        scenarios.random_kills,
        scenarios.server_kills,
        scenarios.handovers,
        scenarios.zombies,
        scenarios.race,
        scenarios.answer_race,
        scenarios.signed_answers,
        scenarios.many_deadlines,
        scenarios.all_down,
    ],
)
async def test_promises_are_kept(
    tmp_path: Path, scenario: Callable[[Campaign], Awaitable[Report]]
) -> None:
    async with campaign(scenario.__name__, tmp_path) as c:
        kept(await scenario(c))


@pytest.mark.timeout(300)
async def test_votes_count_in_the_order_of_their_stream(tmp_path: Path) -> None:
    async with campaign("votes", tmp_path) as c:
        report = kept(await votes.votes(c))
    assert {f"worker killed at {point}" for point in votes_app.POINTS} <= set(report.faults)


@pytest.mark.timeout(300)
async def test_each_rung_happens_once_whatever_fails(tmp_path: Path) -> None:
    async with campaign("ladders", tmp_path) as c:
        report = kept(await ladders.ladders(c))
    assert {f"worker killed at {point}" for point in ladder_app.POINTS} <= set(report.faults)


@pytest.mark.timeout(300)
async def test_each_card_is_shown_once_and_shows_what_is_true_whatever_fails(
    tmp_path: Path,
) -> None:
    async with campaign("cards", tmp_path) as c:
        report = kept(await cards.cards(c))
    assert {f"worker killed at {point}" for point in notifier_app.POINTS} <= set(report.faults)
    assert "worker killed at after_card_sent@notify" in report.faults


@pytest.mark.timeout(300)
async def test_all_acts_are_recorded_once_and_reported_truly(tmp_path: Path) -> None:
    async with campaign("claims", tmp_path) as c:
        report = kept(await claims.claims(c))
    assert {f"worker killed at {point}" for point in claims.POINTS} <= set(report.faults)


@pytest.mark.timeout(300)
async def test_a_console_shows_streams_and_acknowledges_what_the_logs_say(tmp_path: Path) -> None:
    async with campaign("console", tmp_path) as c:
        report = kept(await consoles.console(c))
    assert {"worker killed", "server killed", "console killed"} <= report.faults.keys()


@pytest.mark.timeout(300)
async def test_promises_are_kept_where_workers_and_people_have_accounts_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(logins.ACCOUNTS, "1")
    async with campaign("kills behind the wall", tmp_path) as c:
        report = kept(await scenarios.random_kills(c, tickets=30, kills=6))
    assert report.answers


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", [scenarios.crash_points, scenarios.server_kills])
async def test_promises_are_kept_where_all_that_is_stored_is_encrypted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scenario: Callable[[Campaign], Awaitable[Report]],
) -> None:
    monkeypatch.setenv(keys.ENCRYPTED, "1")
    async with campaign(f"{scenario.__name__}, encrypted", tmp_path) as c:
        report = kept(await scenario(c))
    assert report.answers


@pytest.mark.timeout(300)
async def test_promises_are_kept_when_a_network_goes_silent_and_comes_back(tmp_path: Path) -> None:
    kept(await network.silence(tmp_path, 1, 0.1, seconds=5.5, times=2))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", disk.SCENARIOS.values(), ids=disk.SCENARIOS)
async def test_what_is_acknowledged_survives_a_full_store(
    tmp_path: Path, scenario: Callable[[Path, int, float], Awaitable[Report]]
) -> None:
    report = kept(await scenario(tmp_path, 1, 0.1))
    assert report.runs
    assert report.faults.keys() & {"disk full", "store full"}


@pytest.mark.timeout(300)
async def test_a_second_worker_finishes_what_a_killed_one_asked(tmp_path: Path) -> None:
    async with campaign("the one that asked is killed", tmp_path) as c:
        [asker] = await c.start()
        ticket = one_of_each(1)
        c.driver.open(ticket)
        await asked(c)
        await c.kill(asker)
        await c.start()
        kept(await c.settle(20))
        assert c.driver.history.run_of(ticket.id) is not None


@pytest.mark.timeout(300)
async def test_a_run_outlives_the_server_between_question_and_answer(tmp_path: Path) -> None:
    async with campaign("server killed while a person thinks", tmp_path) as c:
        await c.start(2)
        c.driver.open(one_of_each(1))
        await asked(c)
        await c.restart_server()
        report = kept(await c.settle(30))
        assert report.answers == 1


@pytest.mark.timeout(300)
async def test_a_run_continues_after_its_worker_died_before_announcing_the_block(
    tmp_path: Path,
) -> None:
    async with campaign("killed once it had blocked", tmp_path) as c:
        [first] = await c.start()
        c.driver.people.clear()
        c.driver.open(one_of_each(1))
        await asked(c)
        await c.kill(first)
        [victim] = await c.start(crash="after_blocked", renamed=True)
        c.driver.people.set()
        await c.until(lambda: not victim.lives, 10, "the end of the worker that blocks")
        await c.start()
        kept(await c.settle(12))


async def asked(c: Campaign) -> None:
    """Wait until a question is shown, without answering it."""
    async with asyncio.timeout(20):
        while not c.driver.history.questions:
            await c.driver.history.refresh_when_there()
            await asyncio.sleep(0.02)
