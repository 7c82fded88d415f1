"""What an engine says of itself is kept, and bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamactl.backends import DEFAULT
from llamactl.config import Settings
from llamactl.core.errors import EngineMissing
from llamactl.core.instance import InstanceOptions
from llamactl.node import CommandEngineProbe, Vocabularies

KIND = DEFAULT.kind


def program(folder: Path, script: str) -> str:
    path = folder / "llama-server"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def probe() -> CommandEngineProbe:
    settings = Settings().backends.of(KIND)
    return CommandEngineProbe(KIND, lambda: settings)


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


async def test_what_was_asked_for_definitions_leaves_nothing_behind(tmp_path: Path) -> None:
    program(tmp_path, "echo no help")
    known = Vocabularies({KIND.section: probe()})
    for name in ("llama-server", "none/llama-server"):
        options = InstanceOptions(command_override=str(tmp_path / name))
        assert not await known.of(options)

    assert known._asking == {}
