"""Adding a backend is one folder and one line: nothing else names one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from llamactl.backends import BACKENDS, BY_SECTION, KINDS, Kind
from llamactl.config import compare
from llamactl.config.settings import Settings
from llamactl.config.variables import VARIABLES

SOURCE = Path(__file__).parents[2] / "src/llamactl"
NAMES = re.compile(r"llama[-_]cpp|vllm|mlx|LLAMA_?CPP")
# A migration reads what others wrote, by the names that they gave.
MAY_NAME_THEM = ("backends/", "migration/", "store/migrations/")


def test_only_its_folder_names_a_backend() -> None:
    found = [
        f"{path.relative_to(SOURCE)}:{number}: {line.strip()}"
        for path in SOURCE.rglob("*.py")
        if not str(path.relative_to(SOURCE)).startswith(MAY_NAME_THEM)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if NAMES.search(line)
    ]

    assert found == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.type)
def test_its_settings_and_variables_come_from_its_folder(kind: Kind) -> None:
    assert kind in BY_SECTION.values()
    assert f"LLAMACTL_{kind.variable}_COMMAND" in VARIABLES
    assert Settings().backends.of(kind) == kind.settings


@pytest.mark.parametrize("name", BACKENDS)
def test_its_command_can_change_while_llamactl_runs(name: str) -> None:
    section = BACKENDS[name].kind.section
    text = f"{{{section}: {{command: other, args: [-x], environment: {{A: b}}}}}}"
    old = Settings()
    new = Settings.model_validate({"backends": yaml.safe_load(text)})

    change = compare(old, new)

    assert change.fixed == ()
    assert change.settings.backends.of(BACKENDS[name].kind).command == "other"


@pytest.mark.parametrize("name", BACKENDS)
def test_fields_that_name_programs_and_paths_are_options_of_it(name: str) -> None:
    backend = BACKENDS[name]
    fields = backend.fields
    named = [*fields.programs, *fields.paths, *fields.words]

    assert named and fields.models <= fields.paths and fields.folders <= fields.paths
    for field in named:
        assert [*backend.canonical({field: "/x"})] == [field]
