"""Decisions have one layout."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs/decisions"
FILES = sorted(FOLDER.glob("*.md"))
NUMBERS = {path.name[:4] for path in FILES}
STATUS = re.compile(
    r"Status: (accepted|superseded|rejected) \d{4}-\d{2}-\d{2}"
    r"(?:, (?:replaces|replaced by|extends) (\d{4}))*"
)
PARTS = ["Context", "Decision", "Consequences", "Revisit when"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_has_a_number_a_status_with_a_date_and_four_parts(path: Path) -> None:
    lines = path.read_text().splitlines()
    title, status = lines[0], lines[2]

    assert re.fullmatch(rf"# {path.name[:4]} [A-Z0-9].*[^.]", title)
    assert STATUS.fullmatch(status), status
    assert set(re.findall(r" (\d{4})(?!-)", status)) <= NUMBERS - {path.name[:4]}
    assert [line[3:] for line in lines if line.startswith("## ")] == PARTS


def test_each_number_is_given_once() -> None:
    assert len(NUMBERS) == len(FILES)
