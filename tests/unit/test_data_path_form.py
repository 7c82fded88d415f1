"""The data path runs as plain Python, or compiled: with the same tests (`make compiled`)."""

from __future__ import annotations

import os
from importlib.machinery import EXTENSION_SUFFIXES

from llamactl.maintenance.data_path import form
from llamactl.proxy.relay import exchange


def test_the_form_that_is_said_is_the_one_that_runs() -> None:
    is_compiled = str(exchange.__file__).endswith(tuple(EXTENSION_SUFFIXES))

    assert form() == ("compiled" if is_compiled else "plain Python")
    if place := os.environ.get("LLAMACTL_TEST_IMPORTED"):  # by `make compiled`
        assert str(exchange.__file__).startswith(place)
        assert is_compiled or "LLAMACTL_CI" not in os.environ
