"""Command lines, as people see them."""

from __future__ import annotations

import pytest

from llamactl.core.instance import MASK
from llamactl.runtime.command import masked_argv


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["--api-key", "s3cret", "-c", "4"], ["--api-key", MASK, "-c", "4"]),
        (["--api-key=s3cret", "-c", "4"], [f"--api-key={MASK}", "-c", "4"]),
        (["-hft", "s3cret", "x"], ["-hft", MASK, "x"]),
        (["--token", "--verbose", "x"], ["--token", "--verbose", "x"]),
        (["--ctx-size=4", "-m", "api-key"], ["--ctx-size=4", "-m", "api-key"]),
    ],
)
def test_secrets_are_masked(given: list[str], shown: list[str]) -> None:
    assert masked_argv(given) == shown
