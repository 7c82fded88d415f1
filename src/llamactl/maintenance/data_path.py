"""In which form the data path runs."""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec


def form() -> str:
    """A wheel has it compiled where a C compiler built it; a checkout never."""
    found = find_spec("llamactl.proxy.relay.exchange")
    file = (found and found.origin) or ""
    return "compiled" if file.endswith(tuple(EXTENSION_SUFFIXES)) else "plain Python"
