"""The two clients are one."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_plain_client_is_made_of_the_other() -> None:
    made = runpy.run_path(str(ROOT / "packaging/generate_client.py"))["made"]()

    assert {path.name: path.read_text() for path in made} == {p.name: t for p, t in made.items()}
