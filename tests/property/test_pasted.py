"""Whatever is pasted or imported is read or refused, and its cost grows with its size alone."""

from __future__ import annotations

from hypothesis import given

from support.foreign_texts import COMMANDS, FILES, TREES, check_command, check_file, check_tree


@given(text=COMMANDS)
def test_any_command_line_is_read_or_refused(text: str) -> None:
    check_command(text)


@given(tree=TREES)
def test_any_tree_is_imported_or_refused(tree: object) -> None:
    check_tree(tree)


@given(text=FILES)
def test_any_file_is_imported_or_refused(text: str) -> None:
    check_file(text)
