"""The corpus: what people paste and import comes to what is expected of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamactl.backends import BACKENDS
from llamactl.core.errors import LlamactlError
from llamactl.policy.definition.command_line import leave_unknown_out
from llamactl.policy.definition.engine_help import Vocabulary, read_help
from support.corpus import COMMANDS, IMPORTS, expected, imported, name_of
from support.engines import LLAMA_SERVER, use


@pytest.fixture(scope="module")
def known() -> Vocabulary:
    """The options of llama.cpp's own llama-server."""
    with use(LLAMA_SERVER) as engine:
        return Vocabulary(read_help(engine.help()))


@pytest.mark.parametrize("source", COMMANDS, ids=name_of)
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


@pytest.mark.parametrize("source", IMPORTS, ids=name_of)
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
