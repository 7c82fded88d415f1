"""A log is written in parts and read as one; our own log keeps to one line an event."""

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

import llamactl.node.logs.log as logs_module
import llamactl.node.logs.search as search_module
from llamactl.node.logs import archives, log_writer
from llamactl.node.logs.archives import archives_of
from llamactl.node.logs.cursor import LogCursor
from llamactl.node.logs.log import InstanceLog
from llamactl.node.logs.log_writer import LogWriter
from llamactl.node.logs.rotation import Rotation, RotationRules, tidy
from llamactl.node.logs.search import lines_with
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


def written(
    path: Path, lines: Iterable[bytes], rules: RotationRules = ROTATED, *, splices: bool = True
) -> None:
    """As an engine writes them, by a writer that ends with it."""
    told = path.with_name("rules")
    told.write_text(f"{rules.max_size} {rules.max_files}\n")
    source, target = os.pipe()
    writer = LogWriter(source, str(path), str(told))
    writer._splices = splices
    thread = threading.Thread(target=writer.run)
    thread.start()
    with os.fdopen(target, "wb") as pipe:
        pipe.writelines(lines)
    thread.join()
    os.close(source)


@given(
    rounds=st.lists(st.integers(1, 4000), min_size=1, max_size=12),
    count=st.integers(1, 6000),
    compress=st.booleans(),
    splices=st.booleans(),
)
@settings(max_examples=30)
def test_a_rotated_log_reads_as_if_it_were_whole(
    folder: Path, rounds: list[int], count: int, compress: bool, splices: bool
) -> None:
    path = folder / "rotated.log"
    InstanceLog(path).remove()
    rules = replace(ROTATED, compress=compress, max_files=100)
    lines: list[bytes] = []
    for number in rounds:
        new = [b"%08d %b\n" % (len(lines) + n, b"x" * 100) for n in range(number)]
        written(path, new, rules, splices=splices)
        lines += new
        tidy(path, rules)

    assert read(path, None) == b"".join(lines)
    assert read(path, count) == b"".join(lines[-count:])
    assert read(path, 2, search="7 x") == b"".join([x for x in lines if b"7 x" in x][-2:])
    assert InstanceLog(path).size() == sum(map(len, lines))
    assert path.stat().st_size <= rules.max_size
    assert {c.compressed for c in archives_of(path)[:-1]} <= {compress}


def test_only_so_many_archives_are_kept_and_the_rest_is_passed_over(folder: Path) -> None:
    path = folder / "bounded.log"
    line = b"y" * 99 + b"\n"
    written(path, [line] * 60_000)

    assert len(archives_of(path)) == ROTATED.max_files
    kept = read(path, None)
    assert kept.endswith(line) and set(kept) == {ord("y"), ord("\n")}
    assert len(kept) <= ROTATED.max_size * (ROTATED.max_files + 1)
    assert InstanceLog(path).size() == 60_000 * 100


def test_a_writer_that_died_between_two_parts_is_followed_by_one_that_loses_nothing(
    folder: Path,
) -> None:
    path = folder / "between.log"
    written(path, [b"one\n"])
    path.rename(folder / "between.log.0-4")

    assert read(path, None) == b"one\n"
    assert InstanceLog(path).size() == 4
    written(path, [b"two\n"])
    assert read(path, None) == b"one\ntwo\n"


def punched(path: Path) -> bytes:
    """A log as earlier versions left it: an archive, and a file with a hole in its place."""
    text = b"".join(b"%07d\n" % n for n in range(40_000))
    cut = 2 << 16
    path.with_name(f"{path.name}.0-{cut}").write_bytes(text[:cut])
    with path.open("wb") as file:
        file.seek(cut)
        file.write(text[cut:])
    return text


def test_a_log_with_a_hole_is_read_and_goes_on(folder: Path) -> None:
    path = folder / "punched.log"
    text = punched(path)

    assert read(path, None) == text
    assert read(path, 30_000) == text[-30_000 * 8 :]
    with path.open("ab") as file:  # by an engine that an earlier version started
        file.write(b"late\n")
    assert read(path, 2) == text[-8:] + b"late\n"
    written(path, [b"new\n"])
    assert read(path, None) == text + b"late\nnew\n"
    assert read(path, 3) == text[-8:] + b"late\nnew\n"
    assert read(path, 30_000) == (text + b"late\nnew\n")[-29_998 * 8 - 9 :]
    assert path.stat().st_size == 4

    tidy(path, replace(ROTATED, compress=True))
    assert read(path, None) == text + b"late\nnew\n"


def test_what_finds_no_room_is_counted_and_no_engine_waits_for_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "full.log"
    room, full = LogWriter._room, [True]

    def refused(writer: LogWriter) -> int:
        if full[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        return room(writer)

    monkeypatch.setattr(LogWriter, "_room", refused)
    source, target = os.pipe()
    writer = LogWriter(source, str(path), "no such file")
    os.write(target, b"lost\n")
    assert writer._take() == 5
    full[0] = False
    os.write(target, b"kept\n")
    assert writer._take() == 5
    os.close(target)
    assert writer._take() == 0
    os.close(source)

    assert read(path, None) == b"--- 5 bytes were lost here: No space left on device\nkept\n"


def test_a_writer_heeds_the_rules_as_they_are_now(folder: Path) -> None:
    path, told = folder / "live.log", folder / "rules_of_live"
    source, target = os.pipe()
    writer = LogWriter(source, str(path), str(told))
    writer._limits = (0, 0)  # nothing is rotated
    for _ in range(4):
        os.write(target, b"x" * 50_000)
        writer._take()
    assert (path.stat().st_size, archives_of(path)) == (200_000, [])

    told.write_text("100000 1\n")
    writer._note()
    for _ in range(4):
        os.write(target, b"x" * 50_000)
        writer._take()

    assert [(a.start, a.end) for a in archives_of(path)] == [(200_000, 300_000)]
    assert path.stat().st_size == 100_000
    os.close(source)
    os.close(target)


def test_times_do_not_grow_without_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "_MOST_TIMES", 1000)
    path = folder / "times.log"
    written(path, [b"x" * 500])
    for size in range(500):
        log_writer.note(str(path), 1000.0 + size, size)

    assert path.with_name("times.log.times").stat().st_size <= 1000
    assert read(path, None, since=1499.5) == b"x"


def test_old_archives_go(folder: Path) -> None:
    path = folder / "old.log"
    rules = replace(ROTATED, max_age=3600)
    written(path, [b"z" * (5 << 17)])
    first, second = archives_of(path)
    for archive in (first, second):
        os.utime(archive.path, (1, 1))

    tidy(path, rules)  # it is not written to any more

    assert not first.path.exists()
    assert second.path.stat().st_size == 0  # its name says where the rest begins
    assert read(path, None) == b"z" * (1 << 17)
    written(path, [b"new\n"])
    assert read(path, 1).endswith(b"znew\n")
    assert InstanceLog(path).size() == (5 << 17) + 4


def test_since_leaves_out_what_was_before(folder: Path) -> None:
    path = folder / "since.log"
    for line, at in ((b"one\n", 1000.0), (b"two\n", 1001.0), (b"three\n", 0.0)):
        with path.open("ab") as file:
            file.write(line)
            size = file.tell()
        if at:
            log_writer.note(str(path), at, size)

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


def test_a_search_answers_with_the_last_of_many_lines(folder: Path) -> None:
    path = folder / "many.log"
    written(path, [b"%07d\n" % n for n in range(30_000)])

    found = read(path, None, search="0")

    assert found.endswith(b"0029999\n")
    assert found.count(b"\n") == 10_000


@pytest.mark.parametrize("how", ["cut", "removed", "moved"])
def test_what_is_written_after_somebody_cut_the_log_survives(folder: Path, how: str) -> None:
    path = folder / f"{how}.log"
    old = b"old\n" * 70_000  # one archive, and a bit
    source, target = os.pipe()
    rules = folder / f"rules_of_{how}"
    rules.write_text(f"{ROTATED.max_size} {ROTATED.max_files}\n")
    writer = LogWriter(source, str(path), str(rules))
    writer._read_rules()
    thread = threading.Thread(target=lambda: os.write(target, old))
    thread.start()
    while writer._end < len(old):
        writer._take()
    thread.join()
    if how == "cut":
        path.write_bytes(b"")
    elif how == "moved":
        path.rename(folder / "elsewhere")
    else:
        path.unlink()

    os.write(target, b"new\n")
    writer._take()
    os.close(source)
    os.close(target)

    assert read(path, None) == old[: ROTATED.max_size] + b"new\n"
    assert read(path, 2) == b"old\nnew\n"
    assert InstanceLog(path).size() == len(old) + 4


def test_a_writer_that_is_late_brings_no_deleted_log_back(folder: Path) -> None:
    path, pipe = folder / "deleted.log", folder / "deleted"
    os.mkfifo(pipe)
    source = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    target = os.open(pipe, os.O_WRONLY)
    writer = LogWriter(source, str(path), "no such file")
    os.write(target, b"one\n")
    writer._take()
    pipe.unlink()
    InstanceLog(path).remove()

    os.write(target, b"two\n")
    assert writer._take() == 4
    writer._note()
    os.close(source)
    os.close(target)

    assert list(folder.glob("deleted*")) == []


def test_an_archive_that_is_not_whole_hides_no_other(folder: Path) -> None:
    path = folder / "torn.log"
    lines = [b"%07d\n" % n for n in range(100_000)]
    written(path, lines)
    tidy(path, replace(ROTATED, compress=True))
    first = archives_of(path)[0]
    whole = first.path.read_bytes()
    first.path.write_bytes(whole[: len(whole) // 2])

    kept = read(path, None)
    assert kept.endswith(b"".join(lines)[first.end :])
    assert read(path, 70_000).endswith(b"".join(lines)[first.end :])
    first.path.write_bytes(b"nothing of gzip's")
    assert read(path, None) == b"".join(lines)[first.end :]


def test_a_reader_misses_nothing_while_archives_are_compressed(folder: Path) -> None:
    """The reader has listed the plain archive, which has another name when it is opened."""
    path = folder / "racing.log"
    lines = [b"%07d\n" % n for n in range(100_000)]
    written(path, lines)
    plain = archives_of(path)[0]
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


def test_a_copy_that_finds_no_room_leaves_none_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    archive = folder / "packed.log.0-5000"
    archive.write_bytes(b"x" * 5000)
    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(OSError, match="full"):
        archives.compress(archives_of(folder / "packed.log")[0])

    assert {p.name for p in folder.glob("packed.log*")} == {archive.name}


def test_what_the_rules_are_is_told_anew_until_it_could_be(tmp_path: Path) -> None:
    data = tmp_path / "data"
    rules: list[RotationRules | None] = [ROTATED]
    rotation = Rotation(data, lambda: rules[0])
    rotation.look([])  # the folder isn't there yet
    data.mkdir()
    rotation.look([])
    assert (data / "log_rotation").read_text() == f"{1 << 18} 4\n"
    rules[0] = None
    rotation.look([])
    assert (data / "log_rotation").read_text() == "0 0\n"


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

    def noting(wanted: bytes, data: bytes) -> tuple[list[bytes], bytes]:
        threads.append(threading.current_thread())
        return lines_with(wanted, data)

    for module in (logs_module, search_module):
        monkeypatch.setattr(module, "lines_with", noting)

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

    found = lines_with(wanted, data)

    assert found == ([line for line in lines if wanted in line], rest)


def test_who_follows_a_quiet_log_does_not_read_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "quiet.log"
    path.write_bytes(b"one\n")
    reads, looks = [0], [0]
    read_more, look = LogCursor.read, InstanceLog._look

    def reading(cursor: LogCursor) -> bytes:
        reads[0] += 1
        return read_more(cursor)

    def looking(log: InstanceLog) -> tuple[int, ...]:
        looks[0] += 1
        if looks[0] == 50:
            written(path, [b"two\n"])
        return look(log)

    monkeypatch.setattr(LogCursor, "read", reading)
    monkeypatch.setattr(InstanceLog, "_look", looking)
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
