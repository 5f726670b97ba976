"""Keys as an operator has them: commands and workers that are processes, before and after a change.

What a person would see is printed, so that `pytest -s` shows it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fix_layby import Desk

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

APP = """
from typing import Any

from layby import App, Keyring, Step

app = App("keys", encryption=Keyring.from_env())


@app.workflow(on="keys.opened", key="ticketId", subject="customer")
async def handle(event: dict[str, Any], step: Step) -> str:
    answer = await step.ask("developer", f"Secret {event['ticketId']}?", confidential=True)
    return answer.text
"""


@pytest.fixture
def desk(tmp_path: Path, clean_nats: str) -> Iterator[Desk]:
    desk = Desk(tmp_path, clean_nats)
    yield desk
    desk.stop_workers()


def output_of(desk: Desk, keys: str, *arguments: str, code: int = 0) -> str:
    """What a command prints with `keys` as keyring."""
    process = desk.start(*arguments, LAYBY_KEYS=keys)
    try:
        out, err = process.communicate(timeout=30)
        ended = process.wait(30)
    finally:
        process.close()
    sys.stdout.write(f"$ layby {' '.join(arguments)}\n{out}{err}")
    assert ended == code, out + err
    return out + err


def opened(desk: Desk, ticket: str, customer: str) -> Any:
    event = f'{{"ticketId": "{ticket}", "customer": "{customer}"}}'
    desk.json("send", "keys.opened", event)
    return desk.question(ticket)


@pytest.mark.slow
def test_keys_are_changed_under_workers_and_erased(desk: Desk) -> None:
    (desk.folder / "keysapp.py").write_text(APP)
    old, new = (output_of(desk, "", "keyring", "new", each).strip() for each in ("k1", "k2"))
    both, ahead = f"{old},{new}", f"{new},{old}"
    app = "keysapp:app"
    before = desk.start_worker(app=app, LAYBY_KEYS=old)
    first = opened(desk, "T1", "ada")
    assert first["question"] == "(encrypted)"
    assert "Secret T1?" in output_of(desk, old, "questions")
    assert output_of(desk, old, "keyring", "show", app).startswith("k1: ")
    # 1 and 2: the new key behind, then first; a worker of one kind starts before the last ends.
    behind = desk.start_worker(app=app, LAYBY_KEYS=both)
    before.terminate()
    desk.start_worker(app=app, LAYBY_KEYS=ahead)
    behind.terminate()
    assert [each.wait(30) for each in (before, behind)] == [0, 0]
    opened(desk, "T2", "bob")
    assert "k2" in output_of(desk, ahead, "keyring", "show", app)
    # 3: with workers up.
    assert "rewrapped with k2" in output_of(desk, ahead, "keyring", "rotate", app)
    assert "k1" not in output_of(desk, ahead, "keyring", "show", app)
    assert "no secret needs 'k1'" in output_of(desk, ahead, "doctor")
    opened(desk, "T3", "ada")
    desk.stop_workers()
    # 4: without the old one.
    desk.start_worker(app=app, LAYBY_KEYS=new)
    assert "accepted" in output_of(desk, new, "answer", "T2", "yes")
    assert desk.ended("T2")["status"] == "completed"
    assert "Secret T1?" in output_of(desk, new, "show", "T1")
    assert "(encrypted)" in output_of(desk, "", "show", "T1")
    output = output_of(desk, new, "erase", app, "--person", "ada", "--reason", "request 1")
    assert "the key of ada is destroyed; 2 open runs ended" in output
    assert desk.ended("T1")["status"] == desk.ended("T3")["status"] == "erased"
    assert "(erased)" in output_of(desk, new, "show", "T1")
    fourth = opened(desk, "T4", "eve")
    assert "is destroyed" in output_of(desk, new, "erase", app, "--run", fourth["run"])
    assert "was destroyed" in output_of(desk, new, "erase", app, "--run", fourth["run"])
    assert desk.ended("T4")["status"] == "erased"


def test_a_worker_without_the_key_says_which_it_lacks(desk: Desk) -> None:
    (desk.folder / "keysapp.py").write_text(APP)
    old, new = (output_of(desk, "", "keyring", "new", each).strip() for each in ("k1", "k2"))
    desk.start_worker(app="keysapp:app", LAYBY_KEYS=old)
    desk.stop_workers()
    output = output_of(desk, new, "worker", "keysapp:app", code=1)
    assert "'k1', which the keyring does not hold" in output
    assert "Traceback" not in output
