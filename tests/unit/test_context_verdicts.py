"""What is remembered of engines that did not use their contexts."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamactl.node.contexts.verdicts import Verdicts

ONE, OTHER = {"model": "1", "build": "b1"}, {"model": "1", "build": "b2"}


def test_two_misses_in_a_row_are_enough_for_one_model_and_build(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.json"
    assert [Verdicts(path).note(ONE, used=used) for used in (False, True, False)] == [1, 0, 1]
    assert Verdicts(path).refusal(ONE) == ""

    assert Verdicts(path).note(ONE, used=False) == 2

    assert "swa_full" in Verdicts(path).refusal(ONE)
    assert Verdicts(path).refusal(OTHER) == ""


@pytest.mark.parametrize(
    "text", [b"", b"[]", b'{"a": "x"}', b'{"sorts": [1]}', b'{"sorts": {"a": 1}}', b"\xff"]
)
def test_a_damaged_file_says_nothing(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "verdicts.json"
    path.write_bytes(text)

    assert (Verdicts(path).refusal(ONE), Verdicts(path).unused()) == ("", frozenset())
    assert Verdicts(path).note(ONE, used=False) == 1


def test_a_folder_that_can_not_be_written_is_no_error(tmp_path: Path) -> None:
    assert Verdicts(tmp_path / "absent/verdicts.json").note(ONE, used=False) == 1


def test_it_stays_small(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.json"
    for n in range(1100):
        Verdicts(path).note({"model": str(n)}, used=False)

    assert path.stat().st_size < 50_000
    assert Verdicts(path).note({"model": "1099"}, used=False) == 2


def test_definitions_whose_contexts_are_not_used_are_known_until_another_build_runs(
    tmp_path: Path,
) -> None:
    path = tmp_path / "verdicts.json"
    for _ in range(2):
        assert Verdicts(path).unused() == frozenset()
        Verdicts(path).note(ONE, "mine", used=False)
    assert Verdicts(path).unused() == {"mine"}
    assert "swa_full" in Verdicts(path).refusal(ONE, "another"), "of the same model and build"
    assert Verdicts(path).unused() == {"mine", "another"}

    assert Verdicts(path).refusal(OTHER, "mine") == ""
    assert Verdicts(path).unused() == {"another"}
    Verdicts(path).note(ONE, "another", used=True)
    assert Verdicts(path).unused() == frozenset()
