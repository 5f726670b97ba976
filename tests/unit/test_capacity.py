"""The capacity model: its arithmetic, its command, and docs/scaling.md shows what it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import capacity
from benchmarks.calibration import CALIBRATED, STORED, others
from benchmarks.capacity import Load, Machine, bounds, predicted
from benchmarks.desk import app
from benchmarks.server import ALWAYS, DEFAULT
from layby.bus.layout import streams

PAGE = Path(__file__).parent.parent.parent / "docs" / "scaling.md"


@pytest.mark.parametrize(("servers", "sync"), CALIBRATED)
def test_what_it_was_calibrated_with_is_predicted_as_it_was_measured(
    servers: int, sync: str
) -> None:
    measured = CALIBRATED[servers, sync].tickets
    assert predicted(Machine(servers, sync)).tickets == pytest.approx(measured)


def test_one_worker_is_limited_by_its_core_and_several_by_the_machine() -> None:
    assert predicted(Machine(1, DEFAULT)).part == "cores of the workers"
    assert predicted(Machine(1, DEFAULT, workers=4)).part == "cores of the machine"


def test_more_cores_help_until_something_else_is_the_limit() -> None:
    parts = [bounds(Machine(1, DEFAULT, workers=40, cores=cores))[0] for cores in (2, 4, 400)]
    assert parts[1].tickets == pytest.approx(2 * parts[0].tickets)
    assert parts[2].part == "streams of the logs"


def test_more_log_streams_help_only_the_logs() -> None:
    few, many = (
        {bound.part: bound.tickets for bound in bounds(Machine(3, ALWAYS, log_streams=count))}
        for count in (1, 4)
    )
    logs = "streams of the logs"
    assert many.pop(logs) == pytest.approx(4 * few.pop(logs))
    assert many == few


def test_only_one_server_that_always_syncs_waits_for_its_disk() -> None:
    waiting = [
        key for key in CALIBRATED if "disk" in [bound.part for bound in bounds(Machine(*key))]
    ]
    assert waiting == [(1, ALWAYS)]


def test_one_worker_hands_nothing_over_and_many_nearly_everything() -> None:
    costs = CALIBRATED[1, DEFAULT]
    assert costs.with_team(1) == costs
    assert [others(1), others(2), others(4)] == [0, 0.5, 0.75]
    assert costs.with_team(4).worker > costs.with_team(2).worker > costs.worker


@pytest.mark.parametrize("rate", [1_000, 20_000, 100_000, 10_000_000])
def test_a_team_is_as_small_as_its_load_allows(rate: float) -> None:
    load = Load(rate, open_minutes=1.0)
    cells, _, count = capacity.size(load)
    each = load.rate / cells

    def busy(workers: int) -> float:
        worker = CALIBRATED[load.servers, load.sync].with_team(workers).worker
        return each * worker / 1e3 / workers

    assert busy(count) <= capacity.SHARE
    assert count == capacity.FEWEST_WORKERS or busy(count - 1) > capacity.SHARE


def test_an_account_has_as_many_log_streams_as_its_rate_needs() -> None:
    assert capacity.log_streams(Load(1_000), 1) == 1
    assert capacity.log_streams(Load(100_000), 1) == 2
    assert capacity.log_streams(Load(100_000), 2) == 1
    assert capacity.log_streams(Load(100_000_000), 1) == 16


@pytest.mark.parametrize("load", [Load(100_000), Load(100_000, open_minutes=1.0), Load(10_000_000)])
def test_each_cluster_has_accounts_and_as_many_as_the_others(load: Load) -> None:
    cells, groups, workers = capacity.size(load)
    assert cells % groups == 0
    assert cells >= max(capacity.accounts(load).values())
    assert groups >= max(capacity.clusters(load, workers).values())


def test_people_who_take_long_need_more_accounts_and_long_retention_more_memory() -> None:
    loads = [Load(100_000, memory=1_000.0, open_minutes=minutes) for minutes in (10, 100)]
    assert [capacity.size(load).accounts for load in loads] == [1, 10]
    kept = [Load(1_000, keep_days=days) for days in (1, 10)]
    one, ten = (capacity.clusters(load, 2)["memory"] for load in kept)
    assert ten > 4 * one


def test_one_server_that_always_syncs_needs_others_for_its_disk() -> None:
    assert capacity.clusters(Load(100_000, servers=1), 2)["disk"] > 10
    assert "disk" not in capacity.clusters(Load(100_000), 2)


def test_the_streams_and_their_limits_are_those_that_are_provisioned() -> None:
    specs = {spec.name: spec for spec in streams(["x"], ["y"])}
    limits = {name: specs[name].limits["max_bytes"] for name in capacity.LIMITS}
    assert limits == {name: limit for name, (limit, _) in capacity.LIMITS.items()}
    assert set(STORED) <= {spec.name for spec in app.topology().streams}


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.0058, "0.0058"), (4.34, "4.3"), (9.99, "10"), (1_440_000, "1,400,000")],
)
def test_two_digits_are_shown(value: float, text: str) -> None:
    assert capacity.digits(value) == text


@pytest.mark.parametrize("wrong", ["0", "-1", "nan", "inf", "many"])
def test_an_invalid_number_of_tickets_is_rejected(
    wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        capacity.main([f"--tickets-per-minute={wrong}"])
    assert "--tickets-per-minute" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--check"],
        *(["--tickets-per-minute", rate] for rate in ("1000", "100000", "10000000")),
    ],
)
def test_the_page_shows_what_the_command_prints(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    capacity.main(words)
    assert capsys.readouterr().out in PAGE.read_text()
