"""Several people decide by the `layby` command."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from layby.bus.server import EmbeddedServer
from tests.fix_layby import Desk

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

APP = "tests.votes_app:app"


@pytest.fixture
def desk(tmp_path: Path, own_server: EmbeddedServer) -> Iterator[Desk]:
    made = Desk(tmp_path, own_server.url)
    try:
        made.start_worker(app=APP)
        yield made
    finally:
        made.stop_workers()


def ask(desk: Desk, **event: Any) -> Any:
    desk.json("send", "bank.payout", json.dumps({"ticket": "T1", **event}))
    return desk.question("T1")


@pytest.mark.slow
def test_two_people_decide_by_the_command(desk: Desk) -> None:
    asked = ask(desk, quorum=2, exclude=["cleo"])
    assert asked["quorum"]["exclude"] == ["cleo"]
    counted = desk.json("answer", "T1", "yes", "--by", "ada")
    assert (counted["outcome"], counted["by"]) == ("counted", "ada")
    assert counted["votes"] == {"choice": "yes", "given": 1, "needed": 2}
    again = desk.run("answer", "T1", "no", "--by", "ada")
    assert again.returncode == 1
    assert "one person has one vote" in again.stdout
    desk.sooner_or_later(lambda: desk.question("T1")["votes"])
    listed = desk.run("questions").stdout
    assert "decided by 2 of finance; not by cleo" in " ".join(listed.split())
    assert "ada voted yes" in listed
    accepted = desk.run("answer", "T1", "yes", "--responder", "bob")
    assert accepted.returncode == 0
    assert "2 of 2 for 'yes'" in accepted.stdout
    assert desk.ended("T1")["status"] == "completed"
    shown = desk.run("show", "T1").stdout
    assert "ada voted" in shown
    desk.json("decision", asked["id"], "--out", "decision.json")
    verified = desk.run("verify", "decision.json")
    assert verified.returncode == 0, verified.stdout
    assert "bob for finance: yes" in verified.stdout


def test_a_member_of_two_groups_says_for_which_they_vote(desk: Desk) -> None:
    ask(desk, groups={"finance": 1, "legal": 1})
    unclear = desk.run("answer", "T1", "yes", "--by", "ada")
    assert unclear.returncode == 2
    assert "--role finance" in unclear.stderr
    assert (
        desk.json("answer", "T1", "yes", "--by", "ada", "--role", "legal")["outcome"] == "counted"
    )
    assert desk.json("answer", "T1", "yes", "--by", "bob")["outcome"] == "accepted"
    assert desk.ended("T1")["status"] == "completed"


def test_the_published_lines_vote_with_the_nats_cli(desk: Desk) -> None:
    if shutil.which("nats") is None:
        pytest.skip("the nats CLI is not on PATH")
    asked = ask(desk, groups={"finance": 1, "legal": 1})
    yes = [line for line in asked["answer_with"] if '"yes"' in line]
    assert len(yes) == 2
    for line, name in zip(yes, ("bob", "dan"), strict=True):
        voted = line.replace("YOUR_NAME", name)
        subprocess.run(voted, shell=True, check=True, env=desk.environ, timeout=60)  # noqa: S602
    assert desk.ended("T1")["status"] == "completed"
