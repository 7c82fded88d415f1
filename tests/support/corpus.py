"""What people paste and import (tests/corpus), each beside what it comes to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from llamactl.migration import Migrated, from_go_llamactl, from_llama_swap
from llamactl.migration.source import read_yaml
from llamactl.policy.definition.engine_help import Vocabulary

CORPUS = Path(__file__).parents[1] / "corpus"
COMMANDS = sorted((CORPUS / "commands").glob("*.txt"))
IMPORTS = sorted(p for p in (CORPUS / "imports").iterdir() if ".expected." not in p.name)
HOME = str(Path.home())
ENVIRON = {"MODELS": "/data", "HF_TOKEN": "t"}


def name_of(source: Path) -> str:
    return source.name.partition(".")[0]


def expected(source: Path) -> dict[str, Any]:
    text = source.with_name(f"{name_of(source)}.expected.yaml").read_text()
    wanted = yaml.safe_load(text.replace("HOME/", f"{HOME}/"))
    assert isinstance(wanted, dict)
    return wanted


def imported(source: Path, known: Vocabulary) -> Migrated:
    """Raises LlamactlError."""
    tree = read_yaml(source.read_text())
    if ".go." in source.name:
        return from_go_llamactl(None, tree, known)
    if source.suffix == ".json":
        return from_go_llamactl(source, None, known)
    return from_llama_swap(tree, ENVIRON, known)
