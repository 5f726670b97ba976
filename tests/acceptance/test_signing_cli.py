"""Signing, deciding and verifying on the command line, with a worker of its own process."""

from __future__ import annotations

import json
import shlex
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from layby.bus.server import EmbeddedServer
from tests.fix_layby import Desk
from tests.signing_desk import ADA, BOB, REFUND

pytestmark = pytest.mark.nats

APP = "tests.signing_desk:app"


@pytest.fixture
def desk(tmp_path: Path, own_server: EmbeddedServer) -> Iterator[Desk]:
    made = Desk(tmp_path, own_server.url)
    try:
        yield made
    finally:
        made.stop_workers()


@pytest.fixture
def bank(desk: Desk) -> Desk:
    """A folder with keys, in which a worker of the bank runs and a refund waits."""
    (desk.folder / "ada.nk").write_text(f"{ADA.seed}\n")
    (desk.folder / "bob.nk").write_text(f"{BOB.seed}\n")
    desk.start_worker(app=APP)
    desk.run("send", REFUND, '{"ticketId": "T1"}')
    return desk


def waiting(desk: Desk) -> dict[str, Any]:
    question: dict[str, Any] = Desk.sooner_or_later(lambda: desk.json("questions"))[0]
    return question


def test_a_key_is_written_to_a_file_that_only_its_owner_reads(desk: Desk) -> None:
    made = desk.run("keys", "new", "eve.nk")
    assert made.returncode == 0
    seed = (desk.folder / "eve.nk").read_text().strip()
    assert made.stdout.startswith("U")
    assert seed not in made.stdout + made.stderr
    assert stat.S_IMODE((desk.folder / "eve.nk").stat().st_mode) == 0o600
    again = desk.run("keys", "new", "eve.nk")
    assert again.returncode == 1
    assert (desk.folder / "eve.nk").read_text().strip() == seed


def test_an_answer_is_signed_with_what_the_person_has_seen(bank: Desk) -> None:
    question = waiting(bank)
    assert question["answer_with"][0].startswith("layby answer --question ")
    unsigned = bank.run("answer", "T1", "approve")
    assert unsigned.returncode == 2
    assert "--nkey or LAYBY_NKEY" in unsigned.stderr
    seed = bank.run("answer", "T1", "approve", "--nkey", ADA.seed, "--responder", "ada")
    assert seed.returncode == 2
    assert "this is the seed itself" in seed.stderr
    wrong = bank.run("answer", "T1", "approve", "--nkey", "bob.nk", "--responder", "ada")
    assert wrong.returncode == 1
    assert "not belong to 'ada'" in wrong.stdout
    done = bank.run("answer", "T1", "approve", "--nkey", "ada.nk", "--responder", "ada")
    assert done.returncode == 0, done.stderr
    assert '{"cents":4000,"currency":"EUR","order":"A1"}' in done.stderr
    assert question["sha256"] in done.stderr
    assert ADA.seed not in done.stdout + done.stderr + seed.stderr
    shown = Desk.sooner_or_later(lambda: bank.json("runs", "--status", "completed"))
    shown_run = bank.run("show", shown[0]["id"]).stdout
    assert "answered (signed, key not checked)" in shown_run
    keys = bank.run("keys", "show", APP)
    (bank.folder / "keys.json").write_text(keys.stdout)
    assert "answered (signed)" in bank.run("show", "T1", "--keys", "keys.json").stdout
    trusted = {"approver": {"keys": {"ada": [BOB.public]}}}
    (bank.folder / "other.json").write_text(json.dumps(trusted))
    assert "an answer that does not count" in bank.run("show", "T1", "--keys", "other.json").stdout


def nats(environ: dict[str, str], *words: str) -> str:
    command = [shutil.which("nats") or "", *words]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout


@pytest.mark.skipif(shutil.which("nats") is None, reason="the nats CLI is not installed")
def test_a_user_of_the_nats_cli_signs_first(bank: Desk) -> None:
    waiting(bank)
    environ = bank.environ
    last = "approver.question.T1"
    message = nats(environ, "stream", "get", "QUESTIONS", "--last-for", last, "--json")
    (bank.folder / "question.json").write_text(message)
    offline = {**environ, "NATS_URL": "nats://127.0.0.1:1", "LAYBY_NKEY": "ada.nk"}
    words = ("sign", "question.json", "approve", "--by", "ada")
    signed = bank.run(*words, environ=offline)
    assert signed.returncode == 0, signed.stderr
    assert '{"cents":4000,"currency":"EUR","order":"A1"}' in signed.stderr
    program, *line = shlex.split(signed.stdout)
    assert program == "nats"
    nats(environ, *line)
    Desk.sooner_or_later(lambda: bank.json("runs", "--status", "completed"))
    header = bank.run(*words, "--header", environ=offline).stdout.strip()
    assert header in signed.stdout
    published = json.loads(message)
    assert bank.run("sign", "-", "no", "--by", "ada", stdin="{}", environ=offline).returncode == 1
    assert published["subject"] == last


def test_a_decision_is_verified_with_the_keys(bank: Desk) -> None:
    question = waiting(bank)
    bank.run("answer", "T1", "approve", "--nkey", "ada.nk", "--responder", "ada")
    Desk.sooner_or_later(lambda: bank.json("runs", "--status", "completed"))
    assert bank.run("decision", "qnone").returncode == 1
    assert bank.run("decision", question["id"], "--out", "d.json").returncode == 0
    (bank.folder / "keys.json").write_text(bank.run("keys", "show", APP).stdout)
    bank.stop_workers()
    offline = {**bank.environ, "NATS_URL": "nats://127.0.0.1:1"}

    def verify(*options: str) -> subprocess.CompletedProcess[str]:
        return bank.run("verify", "d.json", *options, environ=offline)

    good = verify("--keys", "keys.json")
    assert good.returncode == 0, good.stdout
    assert f"'ada' has signed it, with {ADA.public}" in good.stdout
    assert "answered  ada: approve" in good.stdout
    bare = verify()
    assert bare.returncode == 1
    assert "only --keys FILE shows whose key that is" in bare.stdout
    whole = (bank.folder / "d.json").read_text()
    for old, new in (
        ("4000", "4001"),
        ('"answer": "approve"', '"answer": "approved"'),
        ('"by": "ada"', '"by": "bob"'),
        ('"accept": [\n      "signature"\n    ]', '"accept": []'),
        ('"status": "answered"', '"status": "expired"'),
        ("layby.decision/1", "layby.decision/2"),
    ):
        assert old in whole
        (bank.folder / "d.json").write_text(whole.replace(old, new))
        assert verify("--keys", "keys.json").returncode == 1, old
    (bank.folder / "d.json").write_text("[]")
    assert "is not a decision" in verify().stderr
