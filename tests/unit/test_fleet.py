"""Workers side by side: what the doctor says of their releases, their code and their clocks."""

from __future__ import annotations

from typing import Any

import pytest

from layby.health.fleet import side_by_side
from layby.runtime.times import iso
from layby.views.rows import Finding
from layby.views.workers import NOTIFIER, WorkerRow


def worker(pid: int, **fields: Any) -> WorkerRow:
    row: dict[str, Any] = {
        "id": f"w{pid}",
        "app": "desk",
        "host": "pod",
        "pid": pid,
        "fingerprint": "f1",
        "started_at": iso(1),
        "heard_at": iso(2),
        "lost": False,
        "version": "1.0",
    }
    return WorkerRow(**{**row, **fields})


def said(*rows: WorkerRow) -> tuple[Finding, list[Finding]]:
    """The first finding, which counts, and those that follow."""
    first, *others = side_by_side(rows)
    assert (first.level, first.subject) == ("ok", "workers")
    assert all(each.level == "warn" and each.advice for each in others)
    return first, others


def test_nobody_runs() -> None:
    assert "none is running" in said()[0].message
    assert "none is running" in said(worker(1, lost=True))[0].message


def test_those_that_are_alike_are_counted() -> None:
    notifier = worker(3, kind=NOTIFIER, app="shop")
    first, others = said(worker(1), worker(2), notifier)
    assert first.message == "2 workers of desk (Layby 1.0), 1 notifier of shop (Layby 1.0)"
    assert others == []


@pytest.mark.parametrize(
    ("older", "name"), [("0.9", "Layby 0.9"), ("", "an earlier Layby")], ids=["said", "unsaid"]
)
def test_several_releases_of_layby_are_named_with_who_runs_them(older: str, name: str) -> None:
    _, [other] = said(worker(1), worker(2, version=older), worker(3, version=older))
    assert "desk runs with several releases of Layby" in other.message
    assert f"{name} on pod (process 2), pod (process 3)" in other.message
    assert "Layby 1.0 on pod (process 1)" in other.message


def test_one_release_of_layby_with_different_code_is_named_by_fingerprints() -> None:
    _, [other] = said(worker(1), worker(2, fingerprint="f" * 64))
    assert "f1 on pod (process 1); ffffffffffff on pod (process 2)" in other.message


def test_a_notifier_has_other_secrets_than_the_workers() -> None:
    assert said(worker(1), worker(2, fingerprint="f2", kind=NOTIFIER))[1] == []
    _, [other] = said(worker(1), worker(2, version="2.0", kind=NOTIFIER))
    assert "several releases" in other.message


def test_two_apps_may_differ() -> None:
    assert said(worker(1), worker(2, app="shop", fingerprint="f2", version="2.0"))[1] == []


def test_a_worker_that_was_lost_is_no_part_of_it() -> None:
    first, others = said(worker(1), worker(2, version="0.9", fingerprint="f2", lost=True))
    assert first.message == "1 worker of desk (Layby 1.0)"
    assert others == []


def test_clocks_that_are_a_second_wrong_are_named() -> None:
    rows = [worker(1, behind=0.9), worker(2, behind=-600.4), worker(3, behind=1.0)]
    _, [clocks] = said(*rows)
    assert clocks.subject == "clocks"
    assert "pod (process 2) is 600 s ahead, pod (process 3) is 1 s behind" in clocks.message
    assert "process 1)" not in clocks.message


def test_a_thousand_workers_are_one_line() -> None:
    rows = [worker(n, version=str(n % 20), behind=5.0, host="h" * 200) for n in range(1_000)]
    _, others = said(*rows)
    assert [each.subject for each in others] == ["workers", "clocks"]
    assert all(len(each.message) < 10_000 for each in others)
    assert "45 more" in others[0].message
    assert "995 more" in others[1].message
