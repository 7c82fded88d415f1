"""The log file is read from its end, whatever its size; our own log keeps to one line an event."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import tracemalloc
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llamactl.node.logs as logs_module
import llamactl.node.rotation as rotation_module
from llamactl.node import archives, log_cursor, log_times
from llamactl.node.archives import archives_of
from llamactl.node.log_cursor import LogCursor
from llamactl.node.logs import InstanceLog
from llamactl.node.rotation import Rotation, RotationRules
from llamactl.observe import configure, logger


def read(
    path: Path,
    lines: int | None,
    *,
    since: float = 0.0,
    search: str = "",
    before: int | None = None,
) -> bytes:
    async def chunks() -> bytes:
        log = InstanceLog(path)
        start, end = await log.span(None if search else lines, since=since, before=before)
        rows = log.stream(start, end, search=search, lines=lines)
        return b"".join([c async for c in rows])

    return asyncio.run(chunks())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@given(
    lines=st.lists(st.text("ab\x00", max_size=3).map(str.encode), max_size=12),
    ended=st.booleans(),
    count=st.integers(1, 14),
    repeat=st.sampled_from([1, 1, 30_000]),
)
def test_tail_equals_the_last_lines_of_the_whole(
    folder: Path, lines: list[bytes], ended: bool, count: int, repeat: int
) -> None:
    text = b"\n".join(line * repeat for line in lines) + (b"\n" if ended and lines else b"")
    path = folder / "x.log"
    path.write_bytes(text)

    tail = read(path, count)

    assert tail == b"".join(text.splitlines(keepends=True)[-count:])


def test_all_lines_and_no_file(folder: Path) -> None:
    path = folder / "y.log"

    assert read(path, None) == b""
    path.write_bytes(b"a\nb")
    assert read(path, None) == b"a\nb"


ROTATED = RotationRules(max_size=1 << 18, max_files=4, max_age=0, compress=False)


def written(path: Path, lines: Iterable[bytes]) -> None:
    with path.open("ab") as file:
        file.writelines(lines)


@given(
    rounds=st.lists(st.integers(1, 4000), min_size=1, max_size=12),
    count=st.integers(1, 6000),
    compress=st.booleans(),
)
@settings(max_examples=30)
def test_a_rotated_log_reads_as_if_it_were_whole(
    folder: Path, rounds: list[int], count: int, compress: bool
) -> None:
    path = folder / "rotated.log"
    InstanceLog(path).remove()
    rotation = Rotation(lambda: replace(ROTATED, compress=compress, max_files=100))
    lines: list[bytes] = []
    for number in rounds:
        new = [b"%08d %b\n" % (len(lines) + n, b"x" * 100) for n in range(number)]
        written(path, new)
        lines += new
        rotation.look([path])

    assert read(path, None) == b"".join(lines)
    assert read(path, count) == b"".join(lines[-count:])
    assert read(path, 2, search="7 x") == b"".join([x for x in lines if b"7 x" in x][-2:])
    assert disk_use(path) <= ROTATED.max_size + (1 << 16)
    assert {c.compressed for c in archives_of(path)} <= {compress}


def disk_use(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_only_so_many_archives_are_kept_and_the_rest_is_passed_over(folder: Path) -> None:
    path = folder / "bounded.log"
    rotation = Rotation(lambda: ROTATED)
    line = b"y" * 99 + b"\n"
    for _ in range(20):
        written(path, [line] * 3000)
        rotation.look([path])

    assert len(archives_of(path)) == ROTATED.max_files
    kept = read(path, None)
    assert kept.endswith(line) and set(kept) == {ord("y"), ord("\n")}  # no zeros of a hole
    assert len(kept) < path.stat().st_size == 20 * 3000 * 100


def test_a_rotation_that_was_broken_off_is_finished_without_a_double(folder: Path) -> None:
    path = folder / "broken.log"
    text = b"".join(b"%07d\n" % n for n in range(100_000))
    written(path, [text])
    with path.open("rb") as file:  # llamactl dies after the copy
        archives.add(path, file, 0, 5 << 16)
    rotation = Rotation(lambda: replace(ROTATED, max_files=100))
    rotation.look([path])

    assert read(path, None) == text


@pytest.mark.parametrize("tells", [True, False])
def test_where_no_holes_can_be_made_the_file_is_cut(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tells: bool,
) -> None:
    """`tells`: a cut file has a hole, and shows it."""

    def refuse(fd: int, end: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "not here")

    monkeypatch.setattr(rotation_module, "_punch_hole", refuse)
    if not tells:
        for module in (rotation_module, log_cursor):
            monkeypatch.setattr(module, "hole_of", lambda file: 0)
    path = folder / f"cut{tells}.log"
    lines = [b"%07d\n" % n for n in range(120_000)]
    for at in range(0, 120_000, 40_000):
        written(path, lines[at : at + 40_000])
        Rotation(lambda: replace(ROTATED, max_files=100)).look([path])  # each of another llamactl
        written(path, [b"between\n"])

    assert "logs_are_cut" in caplog.text
    parts = [b"".join(lines[at : at + 40_000]) for at in range(0, 120_000, 40_000)]
    assert read(path, None) == b"between\n".join(parts) + b"between\n"
    assert read(path, 2) == lines[-1] + b"between\n"
    assert len(archives_of(path)) == 3
    assert disk_use(path) < 1 << 17


def test_old_archives_go(folder: Path) -> None:
    path = folder / "old.log"
    rotation = Rotation(lambda: replace(ROTATED, max_age=3600))
    written(path, [b"z" * (1 << 19)])
    rotation.look([path])
    (archive,) = archives_of(path)
    os.utime(archive.path, (1, 1))
    written(path, [b"z" * (1 << 19)])
    rotation.look([path])

    assert archive not in archives_of(path)
    (archive,) = archives_of(path)
    os.utime(archive.path, (1, 1))
    rotation.tidy([path])  # it is not written to any more
    assert archives_of(path) == []


def test_since_leaves_out_what_was_before(folder: Path) -> None:
    path = folder / "since.log"
    written(path, [b"one\n"])
    log_times.note(path, 1000.0, 4)
    written(path, [b"two\n"])
    log_times.note(path, 1001.0, 8)
    written(path, [b"three\n"])

    assert read(path, None, since=999.0) == b"one\ntwo\nthree\n"
    assert read(path, None, since=1000.5) == b"two\nthree\n"
    assert read(path, 5, since=2000.0) == b"three\n"


def test_ten_gigabytes_are_read_from_their_end(folder: Path) -> None:
    """Sparse, so that no disk is needed; read whole it would take minutes and all memory."""
    path = folder / "huge.log"
    with path.open("wb") as file:
        file.write(b"first\n")
        file.seek(10 << 30)
        file.write(b"\n" + b"".join(b"%d\n" % n for n in range(1000)))

    tracemalloc.start()
    tail = read(path, 100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    path.unlink()

    assert tail == b"".join(b"%d\n" % n for n in range(900, 1000))
    assert peak < 4 << 20


def test_a_line_of_text_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure(json=False, level="info")

    logger("requests").info("request_served", path="/v1/a\n12:00:00 error forged")

    assert capsys.readouterr().err.count("\n") == 1


def test_a_file_that_somebody_removed_goes_on_where_it_was(folder: Path) -> None:
    path = folder / "removed.log"
    written(path, [b"old\n" * (1 << 17)])
    Rotation(lambda: ROTATED).look([path])
    end = archives_of(path)[-1].end
    path.unlink()

    fd = InstanceLog(path).open("--- again")
    os.write(fd, b"new\n")
    os.close(fd)
    Rotation(lambda: ROTATED).look([path])

    assert read(path, 2) == b"--- again\nnew\n"
    assert read(path, None) == b"old\n" * (end // 4) + b"--- again\nnew\n"


def test_a_search_answers_with_the_last_of_many_lines(folder: Path) -> None:
    path = folder / "many.log"
    written(path, [b"%07d\n" % n for n in range(30_000)])

    found = read(path, None, search="0")

    assert found.endswith(b"0029999\n")
    assert found.count(b"\n") == 10_000


@pytest.mark.parametrize("how", ["cut", "replaced"])
def test_what_is_written_after_somebody_cut_the_log_survives(folder: Path, how: str) -> None:
    path = folder / f"{how}.log"
    rotation = Rotation(lambda: ROTATED)
    for _ in range(2):
        written(path, [b"old\n" * (1 << 17)])
        rotation.look([path])
    if how == "replaced":
        path.unlink()
    path.write_bytes(b"")
    written(path, [b"new one\n", b"new two\n"])
    rotation.look([path])

    assert read(path, None) == b"new one\nnew two\n"
    written(path, [b"more\n" * (1 << 17)])
    rotation.look([path])
    assert read(path, None) == b"new one\nnew two\n" + b"more\n" * (1 << 17)


def test_an_archive_that_is_not_whole_hides_no_other(folder: Path) -> None:
    path = folder / "torn.log"
    rotation = Rotation(lambda: replace(ROTATED, compress=True))
    lines = [b"%07d\n" % n for n in range(100_000)]
    for at in range(0, len(lines), 50_000):
        written(path, lines[at : at + 50_000])
        rotation.look([path])
    first = archives_of(path)[0]
    whole = first.path.read_bytes()
    first.path.write_bytes(whole[: len(whole) // 2])

    kept = read(path, None)
    assert kept.endswith(b"".join(lines)[first.end :])
    assert read(path, 60_000).endswith(b"".join(lines)[first.end :])
    first.path.write_bytes(b"nothing of gzip's")
    assert read(path, None) == b"".join(lines)[first.end :]


def test_a_reader_misses_nothing_while_archives_are_compressed(folder: Path) -> None:
    """The reader has listed the plain archive, which has another name when it is opened."""
    path = folder / "racing.log"
    lines = [b"%07d\n" % n for n in range(100_000)]
    written(path, lines)
    Rotation(lambda: ROTATED).look([path])
    (plain,) = archives_of(path)
    archives.compress(plain)

    with plain.open() as file:
        assert file.read(8) == lines[0]
    archive_again = path.with_name(f"{path.name}.{plain.start}-{plain.end}")
    archive_again.write_bytes(b"".join(lines)[: plain.end])  # llamactl died between the two
    archives.drop_doubles(path)
    assert not archive_again.exists()
    assert read(path, None) == b"".join(lines)


def test_a_follower_finds_a_line_that_was_half_written(folder: Path) -> None:
    path = folder / "half.log"
    log = InstanceLog(path)
    written(path, [b"hello you\nhello wo"])

    async def follow() -> list[bytes]:
        seen = []
        async for chunk in log.follow(0, search="hello"):
            seen.append(chunk)
            if len(seen) == 1:
                written(path, [b"rld\nbye\n"])
            else:
                log.close()
        return seen

    assert asyncio.run(follow()) == [b"hello you\n", b"hello world\n"]


def test_a_log_cut_while_it_is_copied_ends_the_copy(folder: Path) -> None:
    path = folder / "short.log"
    written(path, [b"x" * 1000])
    with path.open("rb") as file, pytest.raises(OSError, match="was cut"):
        archives.add(path, file, 0, 5000)

    assert [p.name for p in folder.glob("short.log*")] == ["short.log"]


def test_a_copy_that_finds_no_room_leaves_none_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    path = folder / "full.log"
    written(path, [b"x" * 5000])
    with path.open("rb") as file:
        archives.add(path, file, 0, 5000)
        monkeypatch.setattr(archives, "_copy", full)
        with pytest.raises(OSError, match="full"):
            archives.add(path, file, 0, 5000)
    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(OSError, match="full"):
        archives.compress(archives_of(path)[0])

    assert {p.name for p in folder.glob("full.log*")} == {"full.log", "full.log.0-5000"}


def test_what_is_before_can_be_read_piece_by_piece(tmp_path: Path) -> None:
    path = tmp_path / "pieces.log"
    whole = b"".join(b"line %d\n" % n for n in range(1000))
    path.write_bytes(whole)

    async def start_of(lines: int, before: int) -> int:
        return (await InstanceLog(path).span(lines, before=before))[0]

    pieces: list[bytes] = []
    at = len(whole)
    while at:
        pieces.insert(0, read(path, 300, before=at))
        at = asyncio.run(start_of(300, at))

    assert [piece.count(b"\n") for piece in pieces] == [100, 300, 300, 300]
    assert b"".join(pieces) == whole


def test_what_is_added_is_searched_beside_the_loop(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line may be one byte: there are a quarter of a million in what is read at once."""
    path = folder / "beside.log"
    path.write_bytes(b"")
    threads: list[threading.Thread] = []
    lines_with = logs_module._lines_with

    def noting(wanted: bytes, data: bytes) -> tuple[list[bytes], bytes]:
        threads.append(threading.current_thread())
        return lines_with(wanted, data)

    monkeypatch.setattr(logs_module, "_lines_with", noting)

    async def run() -> bytes:
        log = InstanceLog(path)
        following = log.follow(0, search="here")
        coming = asyncio.ensure_future(anext(following))
        while not coming.done():
            written(path, [b"\n" * 1000, b"here\n"])
            await asyncio.sleep(0)
        log.close()
        return coming.result()

    assert asyncio.run(run()).startswith(b"here\n")
    assert threads and threading.main_thread() not in threads


@given(
    st.lists(st.text("ab\n", max_size=8).map(str.encode), max_size=5).map(b"".join),
    st.text("ab\n", min_size=1, max_size=3).map(str.encode),
)
def test_lines_are_found_as_if_each_was_looked_at(data: bytes, wanted: bytes) -> None:
    *whole, rest = data.split(b"\n")
    lines = [line + b"\n" for line in whole]

    found = logs_module._lines_with(wanted, data)

    assert found == ([line for line in lines if wanted in line], rest)


def test_who_follows_a_quiet_log_does_not_read_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "quiet.log"
    path.write_bytes(b"one\n")
    reads, looks = [0], [0]
    read_more, size = LogCursor.read, InstanceLog.size

    def reading(cursor: LogCursor) -> bytes:
        reads[0] += 1
        return read_more(cursor)

    def looking(log: InstanceLog) -> int:
        looks[0] += 1
        if looks[0] == 50:
            written(path, [b"two\n"])
        return size(log)

    monkeypatch.setattr(LogCursor, "read", reading)
    monkeypatch.setattr(InstanceLog, "size", looking)
    monkeypatch.setattr(logs_module, "_LOOK_AGAIN_S", 0)

    async def run() -> list[bytes]:
        log, seen = InstanceLog(path), []
        async for chunk in log.follow(0):
            seen.append(chunk)
            if len(seen) == 2:
                log.close()
        return seen

    assert asyncio.run(run()) == [b"one\n", b"two\n"]
    assert reads[0] < 10
