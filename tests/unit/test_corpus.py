"""The corpus: what people paste and import, each beside what it comes to (tests/corpus)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from llamactl.backends import BACKENDS
from llamactl.core.errors import LlamactlError
from llamactl.migration import Migrated, from_go_llamactl, from_llama_swap
from llamactl.migration.source import read_yaml
from llamactl.policy.definition.command_line import leave_unknown_out
from llamactl.policy.definition.engine_help import Vocabulary, read_help
from support.engines import LLAMA_SERVER, use

CORPUS = Path(__file__).parents[1] / "corpus"
COMMANDS = sorted((CORPUS / "commands").glob("*.txt"))
IMPORTS = sorted(p for p in (CORPUS / "imports").iterdir() if ".expected." not in p.name)
HOME = str(Path.home())


@pytest.fixture(scope="module")
def known() -> Vocabulary:
    """The options of llama.cpp's own llama-server."""
    with use(LLAMA_SERVER) as engine:
        return Vocabulary(read_help(engine.help()))


def expected(source: Path) -> dict[str, Any]:
    text = source.with_name(f"{source.name.partition('.')[0]}.expected.yaml").read_text()
    wanted = yaml.safe_load(text.replace("HOME/", f"{HOME}/"))
    assert isinstance(wanted, dict)
    return wanted


@pytest.mark.parametrize("source", COMMANDS, ids=lambda path: path.stem)
def test_a_pasted_command_comes_in_as_it_was_meant_or_it_is_said(
    source: Path, known: Vocabulary
) -> None:
    wanted = expected(source)
    backend = BACKENDS[wanted.get("backend", "llama_cpp")]
    try:
        found = backend.parse_command(source.read_text(), known)
    except LlamactlError as refused:
        assert "refused" in wanted, refused.message
        assert wanted["refused"] in refused.message
        return

    if "backend" not in wanted and not found.command_override:  # as the API does
        leave_unknown_out(found, known)
    assert "refused" not in wanted, found
    assert found.options == wanted["options"]
    assert found.environment == wanted.get("environment", {})
    assert found.image == wanted.get("image", "")
    assert found.command_override == wanted.get("command_override", "")
    said = [word.partition(": ")[0] for word in found.not_understood]
    assert said == wanted.get("left_out", [])
    assert all(": " in word for word in found.not_understood)


def imported(source: Path, known: Vocabulary) -> Migrated:
    tree = read_yaml(source.read_text())
    if ".go." in source.name:
        return from_go_llamactl(None, tree, known)
    if source.suffix == ".json":
        return from_go_llamactl(source, None, known)
    return from_llama_swap(tree, {"MODELS": "/data", "HF_TOKEN": "t"}, known)


@pytest.mark.parametrize("source", IMPORTS, ids=lambda path: path.name.partition(".")[0])
def test_an_imported_file_comes_in_as_it_was_meant_or_it_is_said(
    source: Path, known: Vocabulary
) -> None:
    wanted = expected(source)
    try:
        found = imported(source, known)
    except LlamactlError as refused:
        assert "refused" in wanted, refused.message
        assert wanted["refused"] in refused.message
        return

    assert "refused" not in wanted, found
    assert found.instances == wanted.get("instances", {})
    assert found.settings == wanted.get("settings", {})
    assert found.start == wanted.get("start", [])
    rows = [(row.key, row.outcome, row.note) for row in found.rows]
    for key, outcome, note in wanted["rows"]:
        assert any(k == key and o == outcome and note in n for k, o, n in rows), (key, rows)
