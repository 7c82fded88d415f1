"""What an engine says of itself is kept, and bounded."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from llamactl.backends import DEFAULT
from llamactl.config import Settings
from llamactl.core.errors import EngineMissing
from llamactl.core.instance import InstanceOptions
from llamactl.node import CommandEngineProbe, EngineBuilds, Vocabularies

KIND = DEFAULT.kind


def program(folder: Path, script: str) -> str:
    path = folder / "llama-server"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def probe() -> CommandEngineProbe:
    settings = Settings().backends.engine(KIND)
    return CommandEngineProbe(KIND, lambda: settings, EngineBuilds(Path("/nonexistent")))


async def test_a_program_that_writes_without_end_is_cut_off(tmp_path: Path) -> None:
    said = await probe().ask("--help", program(tmp_path, "exec yes"))

    assert (len(said), said[:4]) == (1 << 20, "y\ny\n")


async def test_an_answer_is_kept_until_the_file_is_another(tmp_path: Path) -> None:
    asked, engine = probe(), program(tmp_path, "echo $$")
    first = await asked.ask("--help", engine)

    assert await asked.ask("--help", engine) == first
    assert await asked.ask("--version", engine) != first
    assert await asked.ask("--help", program(tmp_path, "echo other")) == "other\n"
    with pytest.raises(EngineMissing):
        await asked.ask("--help", str(tmp_path / "none"))


async def test_what_a_slow_engine_says_is_kept_over_restarts(tmp_path: Path) -> None:
    engine, data = program(tmp_path, f"echo x >> {tmp_path}/runs; echo its help"), tmp_path / "data"
    slow = replace(KIND, questions=replace(KIND.questions, limit_s=120.0))
    settings = Settings().backends.engine(KIND)

    def after_a_restart() -> CommandEngineProbe:
        return CommandEngineProbe(slow, lambda: settings, EngineBuilds(data))

    said = [await after_a_restart().ask("--help", engine) for _ in range(3)]
    other = await after_a_restart().ask("--help", program(tmp_path, "echo another help"))

    assert said == ["its help\n"] * 3
    assert (tmp_path / "runs").read_text() == "x\n"
    assert other == "another help\n"


async def test_what_several_ask_at_once_is_asked_once_and_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    engine, asked = program(tmp_path, f"echo x >> {tmp_path}/runs; echo no help"), probe()
    known = Vocabularies({KIND.section: asked})
    options = InstanceOptions(command_override=engine)
    answers = [*(known.of(options) for _ in range(3)), asked.ask("--help", engine)]
    *vocabularies, text = await asyncio.gather(*answers)

    assert ([*map(len, vocabularies)], text) == ([0, 0, 0], "no help\n")
    assert (tmp_path / "runs").read_text() == "x\n"
    missing = InstanceOptions(command_override=str(tmp_path / "none/llama-server"))
    assert not await known.of(missing)
    assert asked._asking == {}


async def test_a_program_of_its_own_is_asked_if_it_is_the_engine_by_its_name(
    tmp_path: Path,
) -> None:
    help_text = "  -m, --model FNAME   the model\n  --port N   its port\n  --zigzag   turn often"
    for name, knows in (("llama-server-vulkan", True), ("other", False)):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\necho '{help_text}'\n")
        path.chmod(0o755)
        known = Vocabularies({KIND.section: probe()})
        found = await known.of(InstanceOptions(command_override=str(path)))
        assert (found.named("zigzag") is not None) is knows
