"""`layby accounts move`: the streams of a stopped server go to other accounts, or stay."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from layby.access.moving import GLOBAL, Moved, move
from layby.bus.errors import InvalidSettings

HERE, TO, TRAIL = GLOBAL, "LAYBY", "TRAIL"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "jetstream").mkdir()
    return tmp_path


def keep(store: Path, account: str, *names: str, subjects: tuple[str, ...] = ("x",)) -> None:
    for name in names:
        folder = store / "jetstream" / account / "streams" / name
        folder.mkdir(parents=True)
        meta = {"name": name, "subjects": subjects}
        (folder / "meta.inf").write_bytes(msgspec.json.encode(meta))


def trail(store: Path, account: str = HERE, name: str = "AUDIT") -> None:
    keep(store, account, name, subjects=("layby.*.*.*", "layby.do.*.*"))


def streams(store: Path, account: str) -> set[str]:
    folder = store / "jetstream" / account / "streams"
    return {each.name for each in folder.iterdir()} if folder.exists() else set()


def refused(store: Path, why: str) -> None:
    before = {each: streams(store, each) for each in (HERE, TO, TRAIL)}
    with pytest.raises(InvalidSettings, match=why):
        move(store, TO, TRAIL)
    assert {each: streams(store, each) for each in (HERE, TO, TRAIL)} == before


def test_streams_go_to_the_workers_and_commands_to_an_account_of_their_own(store: Path) -> None:
    keep(store, HERE, "RUNS", "EVENTS")
    trail(store)
    assert move(store, TO, TRAIL) == Moved(streams=2, trails=1)
    assert streams(store, TO) == {"RUNS", "EVENTS"}
    assert streams(store, TRAIL) == {"AUDIT"}
    assert streams(store, HERE) == set()


def test_a_second_time_there_is_nothing_left_to_do(store: Path) -> None:
    keep(store, HERE, "RUNS")
    trail(store)
    move(store, TO, TRAIL)
    assert move(store, TO, TRAIL) == Moved(streams=0, trails=0)
    assert streams(store, TO) == {"RUNS"}


def test_only_the_trail_is_moved_where_the_streams_are_in_place_already(store: Path) -> None:
    keep(store, TO, "RUNS")
    trail(store, TO)
    assert move(store, TO, TRAIL) == Moved(streams=0, trails=1)
    assert streams(store, TRAIL) == {"AUDIT"}


def test_the_folder_of_the_streams_itself_can_be_named(store: Path) -> None:
    keep(store, HERE, "RUNS")
    assert move(store / "jetstream", TO, TRAIL) == Moved(streams=1, trails=0)


def test_trails_of_apps_with_a_prefix_are_moved_too(store: Path) -> None:
    keep(store, HERE, "SHOP_RUNS")
    trail(store, name="SHOP_AUDIT")
    assert move(store, TO, TRAIL) == Moved(streams=1, trails=1)


def test_a_stream_of_that_name_that_holds_no_commands_is_none(store: Path) -> None:
    keep(store, HERE, "AUDIT", "MY-AUDIT")
    assert move(store, TO, TRAIL) == Moved(streams=2, trails=0)


def test_in_an_encrypted_store_the_name_decides(store: Path) -> None:
    keep(store, HERE, "AUDIT")
    (store / "jetstream" / HERE / "streams" / "AUDIT" / "meta.inf").write_bytes(b"\x00sealed")
    assert move(store, TO, TRAIL) == Moved(streams=0, trails=1)


def test_the_empty_folders_of_the_new_account_are_no_hindrance(store: Path) -> None:
    keep(store, HERE, "RUNS")
    (store / "jetstream" / TO / "streams").mkdir(parents=True)
    assert move(store, TO, TRAIL).streams == 1


def test_what_somebody_keeps_in_the_new_account_is_not_removed(store: Path) -> None:
    keep(store, HERE, "RUNS")
    (store / "jetstream" / TO).mkdir()
    (store / "jetstream" / TO / "notes").write_text("mine")
    refused(store, "is not empty")
    assert (store / "jetstream" / TO / "notes").read_text() == "mine"


def test_a_store_without_streams_is_refused_with_what_to_name(store: Path) -> None:
    refused(store, "holds no streams: name the server's store_dir")


def test_two_accounts_with_streams_are_not_mixed(store: Path) -> None:
    keep(store, HERE, "RUNS")
    keep(store, TO, "RUNS")
    refused(store, "has streams already")


def test_two_trails_are_not_mixed(store: Path) -> None:
    keep(store, HERE, "RUNS")
    trail(store)
    trail(store, TRAIL)
    refused(store, "has a trail already")


def test_a_cluster_is_refused(store: Path) -> None:
    keep(store, HERE, "RUNS")
    (store / "jetstream" / "$SYS" / "_js_" / "_meta_").mkdir(parents=True)
    refused(store, "belongs to a cluster")


def test_a_server_that_runs_is_named(store: Path) -> None:
    keep(store, HERE, "RUNS")
    with (store / "jetstream" / HERE / "streams" / "RUNS" / "meta.inf").open():
        refused(store, "stop the server first")
