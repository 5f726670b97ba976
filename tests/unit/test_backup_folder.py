"""The folder of a backup: what is refused before anything is restored, and who can read it."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from layby.bus.snapshot import Snapshot
from layby.operations import backup_folder
from layby.operations.backup_folder import (
    BackupFolder,
    BackupUnusable,
    Manifest,
    Part,
    room_in,
)

DATA = b"what the server sent"


def saved(path: Path, *, name: str = "RUNS", data: bytes = DATA) -> tuple[BackupFolder, Part]:
    """A whole backup of one stream."""
    folder = BackupFolder(path)
    folder.create()
    digest = hashlib.sha256(data).hexdigest()
    with folder.new_stream(name) as file:
        file.write(data)
    config, state = {"name": name}, {"messages": 3, "last_seq": 7}
    snapshot = Snapshot(config=config, state=state, size=len(data), digest=digest)
    folder.finish_stream(name, snapshot)
    part = Part(stream=name, messages=3, last_seq=7, size=len(data), digest=digest)
    folder.write(Manifest(complete=True, begun_at="then", parts=(part,)))
    return folder, part


def of_cli(path: Path, *names: str) -> Path:
    """What `nats account backup` writes."""
    for name in names:
        (path / name).mkdir(parents=True)
        (path / name / "stream.tar.s2").write_bytes(DATA)
        about: dict[str, Any] = {"config": {"name": name}, "state": {"messages": 2, "last_seq": 5}}
        (path / name / "backup.json").write_bytes(msgspec.json.encode(about))
    return path


def test_what_was_saved_is_read_and_checked(tmp_path: Path) -> None:
    folder, part = saved(tmp_path / "b")
    manifest = folder.read()
    assert manifest.parts == (part,)
    folder.check(part)
    assert folder.about(part) == ({"name": "RUNS"}, {"messages": 3, "last_seq": 7})
    assert b"".join(folder.chunks(part, 3)) == DATA


def test_nobody_else_can_read_any_of_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder, _ = saved(tmp_path / "b")
    finally:
        os.umask(before)
    found = [folder.path, *folder.path.rglob("*")]
    assert len(found) == 6
    for each in found:
        assert stat.S_IMODE(each.stat().st_mode) & 0o077 == 0, each


def test_an_empty_folder_that_exists_is_taken_and_another_is_not(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    saved(tmp_path / "b")
    with pytest.raises(BackupUnusable, match="overwrites nothing"):
        BackupFolder(tmp_path / "b").create()


def test_a_stream_is_not_written_over_another(tmp_path: Path) -> None:
    folder, _ = saved(tmp_path / "b")
    with pytest.raises(FileExistsError):
        folder.new_stream("RUNS")


@pytest.mark.parametrize("data", [DATA[:-1], DATA + b"!", b"X" + DATA[1:], b""])
def test_a_file_that_changed_is_refused(tmp_path: Path, data: bytes) -> None:
    folder, part = saved(tmp_path / "b")
    (folder.path / "streams" / "RUNS" / "stream.tar.s2").write_bytes(data)
    with pytest.raises(BackupUnusable, match="is not what was saved"):
        folder.check(part)


def test_a_description_of_another_stream_is_refused(tmp_path: Path) -> None:
    folder, part = saved(tmp_path / "b")
    (folder.path / "streams" / "RUNS").rename(folder.path / "streams" / "EVENTS")
    moved = msgspec.structs.replace(part, stream="EVENTS")
    with pytest.raises(BackupUnusable, match="is not about stream EVENTS"):
        folder.check(moved)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b'{"config": 1, "state": {}}', b"\xff", b"[" * 100_000]
)
def test_a_description_that_cannot_be_read_is_refused(tmp_path: Path, text: bytes) -> None:
    folder, part = saved(tmp_path / "b")
    (folder.path / "streams" / "RUNS" / "backup.json").write_bytes(text)
    with pytest.raises(BackupUnusable, match=r"backup\.json cannot be read"):
        folder.about(part)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b'{"parts": 1}', b"[" * 100_000]
)
def test_a_manifest_that_cannot_be_read_is_refused(tmp_path: Path, text: bytes) -> None:
    folder, _ = saved(tmp_path / "b")
    (folder.path / "manifest.json").write_bytes(text)
    with pytest.raises(BackupUnusable, match="is not the manifest of a backup"):
        folder.read()


def test_a_huge_manifest_is_not_even_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = saved(tmp_path / "b")
    monkeypatch.setattr(backup_folder, "_LARGEST", 10)
    with pytest.raises(BackupUnusable, match="too large to be the manifest"):
        folder.read()


def test_a_backup_that_is_incomplete_or_of_another_release_is_refused(tmp_path: Path) -> None:
    folder, _ = saved(tmp_path / "b")
    whole = folder.read()
    folder.write(msgspec.structs.replace(whole, complete=False))
    with pytest.raises(BackupUnusable, match=r"is incomplete.*take another backup"):
        folder.read()
    folder.write(msgspec.structs.replace(whole, format=2))
    with pytest.raises(BackupUnusable, match="has the format 2, and this release reads 1"):
        folder.read()


def test_what_a_later_release_adds_to_a_manifest_is_passed_over(tmp_path: Path) -> None:
    folder, part = saved(tmp_path / "b")
    file = folder.path / "manifest.json"
    more = msgspec.json.decode(file.read_bytes())
    file.write_bytes(msgspec.json.encode({**more, "signed_by": "ada"}))
    assert folder.read().parts == (part,)


def test_a_folder_of_the_cli_is_read_without_positions(tmp_path: Path) -> None:
    manifest = BackupFolder(of_cli(tmp_path / "b", "RUNS", "EVENTS")).read()
    assert [part.stream for part in manifest.parts] == ["EVENTS", "RUNS"]
    assert {(part.messages, part.last_seq, part.size) for part in manifest.parts} == {
        (2, 5, len(DATA))
    }
    assert (manifest.positions, manifest.release, manifest.begun_at) == ((), "", "")
    for part in manifest.parts:
        BackupFolder(tmp_path / "b").check(part)


def test_a_part_of_a_backup_is_not_taken_for_one_of_the_cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = saved(tmp_path / "b")
    monkeypatch.chdir(folder.path / "streams")
    for name in (folder.path / "streams", Path()):
        with pytest.raises(BackupUnusable, match="is a part of a backup"):
            BackupFolder(name).read()


def test_a_folder_that_is_not_a_backup_is_reported_as_such(tmp_path: Path) -> None:
    with pytest.raises(BackupUnusable, match="is not a folder"):
        BackupFolder(tmp_path / "missing").read()
    (tmp_path / "empty").mkdir()
    with pytest.raises(BackupUnusable, match="is empty"):
        BackupFolder(tmp_path / "empty").read()
    (tmp_path / "empty" / "notes.txt").write_text("hello")
    with pytest.raises(BackupUnusable, match=r"neither manifest\.json nor, in notes\.txt"):
        BackupFolder(tmp_path / "empty").read()


def test_two_backups_are_told_apart_and_the_same_is_the_same(tmp_path: Path) -> None:
    first, _ = saved(tmp_path / "a")
    again = BackupFolder(tmp_path / "a")
    other, _ = saved(tmp_path / "b", data=DATA + b"more")
    assert first.read().id == again.read().id != other.read().id
    later = msgspec.structs.replace(first.read(), begun_at="later")
    assert later.id != first.read().id


@pytest.mark.parametrize("code", [28, 122, 27])
def test_a_full_disk_says_what_to_do(tmp_path: Path, code: int) -> None:
    wanted = pytest.raises(BackupUnusable, match="make room, and back up to a new folder")
    with wanted, room_in(tmp_path):
        raise OSError(code, os.strerror(code))


def test_another_error_of_the_disk_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output error"), room_in(tmp_path):
        raise OSError(5, os.strerror(5))
