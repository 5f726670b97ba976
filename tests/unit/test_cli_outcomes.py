"""What `layby retry` and `layby rota` print, and what they refuse before they ask a server."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from layby.cli.commands import retry, rota
from layby.cli.invocation import Invocation
from layby.cli.screen.errors import USAGE, UsageError
from layby.views.rows import Retried, RunRow

AT = "2026-03-01T12:00:00Z"


def run(name: str) -> RunRow:
    about: dict[str, Any] = {"workflow": "pay", "ticket": "T1", "status": "failed"}
    return RunRow(id=name, started_at=AT, updated_at=AT, **about)


@pytest.mark.parametrize(
    ("done", "out", "err"),
    [
        (Retried(retried=1, count=1), ["1 run resumed"], []),
        (Retried(retried=0, count=0), ["0 runs resumed"], []),
        (
            Retried(retried=2, count=4, refused={"a": "it is\nover", "b": "no"}),
            ["2 runs resumed"],
            ["it is over", "no"],
        ),
        (
            Retried(retried=2, count=5, refused={"a": "over"}),
            ["2 runs resumed"],
            ["over", "and 2 runs more that cannot be retried"],
        ),
    ],
)
def test_a_retry_says_how_many_resumed_and_why_others_did_not(
    done: Retried, out: list[str], err: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    retry._print_outcome(done)
    said = capsys.readouterr()
    assert (said.out.splitlines(), said.err.splitlines()) == (out, err)


def test_a_retry_that_another_worker_finished_says_what_its_count_lacks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    retry._print_outcome(Retried(retried=1, count=1, again=True))
    assert "a worker died midway" in capsys.readouterr().err


def test_a_sample_shows_some_runs_and_counts_all(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [run(f"r{n}") for n in range(retry._SAMPLE + 2)]
    retry._sample(Invocation(), rows)
    out = capsys.readouterr().out
    assert out.startswith(f"{len(rows)} runs can be retried\n")
    assert out.endswith("and 2 more\n")
    assert f"r{retry._SAMPLE - 1} " in out
    assert f"r{retry._SAMPLE} " not in out
    retry._sample(Invocation(), [])
    assert capsys.readouterr().out == "0 runs can be retried\n"
    retry._sample(Invocation(json=True), rows)
    found = json.loads(capsys.readouterr().out)
    assert (found["count"], len(found["runs"])) == (len(rows), len(rows))


def test_nothing_is_retried_in_bulk_without_a_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False))
    with pytest.raises(UsageError, match="3 runs would be retried") as refused:
        retry._confirm(3)
    assert "add --yes" in refused.value.advice


@pytest.mark.parametrize(
    "fields",
    [
        {"start": "2026-11-30T17:00", "end": "2026-11-30T09:00"},
        {"start": "soon", "end": "2026-11-30T09:00"},
        {"start": "2026-11-30T09:00+01:00", "end": "2026-11-30T17:00"},
        {"person": "ada lovelace", "start": "2026-11-30T09:00", "end": "2026-11-30T17:00"},
        {"zone": "Nowhere/Else", "start": "2026-11-30T09:00", "end": "2026-11-30T17:00"},
    ],
)
def test_a_shift_that_cannot_be_is_a_wrong_command_line(fields: dict[str, str]) -> None:
    with pytest.raises(UsageError) as refused:
        rota._window(**{"person": "ada", **fields})
    assert refused.value.code == USAGE
    assert "2026-11-30T09:00" in refused.value.advice


@pytest.mark.parametrize(
    ("duty", "says"),
    [
        ({"told": ["ada", "bob"], "absent": {"bob": "cy"}}, "on duty now: ada, bob for cy"),
        ({"told": [], "absent": {}}, "on duty now: nobody"),
    ],
)
def test_who_is_on_duty_in_words(duty: dict[str, Any], says: str) -> None:
    assert rota._words(duty) == says


def test_a_name_that_is_no_rotas_is_a_wrong_command_line() -> None:
    rota._check_name("dev-2")
    with pytest.raises(UsageError, match=r"'dev\.2' cannot be the name of a rota"):
        rota._check_name("dev.2")
