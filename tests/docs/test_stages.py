"""Each test runs in one stage, and `.ci/run` runs every stage."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from support.stages import APART, DOCS, IN_PROCESS, OF_FOLDER, STAGES, UNIT

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()


def prerequisites(target: str) -> list[str]:
    found = re.search(rf"^{target}:(.*)$", MAKEFILE, re.MULTILINE)
    assert found, f"the Makefile has no {target}"
    return found[1].split()


def test_every_stage_is_one_target_and_runs_in_one_of_both() -> None:
    run = re.findall(r"^([\w-]+):.*\n\t.*--stage=([\w-]+)", MAKEFILE, re.MULTILINE)
    first, rest = prerequisites("test"), prerequisites("test-rest")

    assert run == [
        *((stage, stage) for stage in STAGES),
        *((f"test-{stage}", stage) for stage in APART),
    ]
    assert [name for name in first + rest if name in STAGES] == [*STAGES]


def test_ci_runs_every_stage() -> None:
    last = (ROOT / ".ci/run").read_text().splitlines()[-1]
    recipe = re.search(r"^test-all:.*\n\t(.*)$", MAKEFILE, re.MULTILINE)

    assert last == "make test-all"
    assert recipe is not None
    assert [name for name in recipe[1].split() if name in STAGES] == [*STAGES]
    assert {"compiled", "two-processes"} <= {*recipe[1].split()}


def test_every_folder_of_tests_has_a_stage() -> None:
    folders = {path.parent.name for path in (ROOT / "tests").rglob("test_*.py")}

    assert folders == OF_FOLDER.keys()


def test_what_needs_no_server_starts_none() -> None:
    quick = [name for name, stage in OF_FOLDER.items() if stage in (DOCS, UNIT, IN_PROCESS)]
    found = [
        f"{path}:{node.lineno}"
        for name in quick
        for path in (ROOT / "tests" / name).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "support.served"
    ]

    assert found == []
