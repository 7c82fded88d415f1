"""Lines of common runtimes' logs that tell why a program ended."""

from __future__ import annotations

import re

from llamactl.backends.contract import FailurePattern
from llamactl.core.exits import FailureClass

_PYTHON = "https://docs.python.org/3/library/"


def _known(pattern: str, failure: FailureClass, advice: str, source: str) -> FailurePattern:
    return FailurePattern(re.compile(pattern, re.IGNORECASE), failure, advice, source)


PATTERNS = (
    _known(
        r"address already in use|EADDRINUSE",
        FailureClass.PORT_TAKEN,
        "the port is in use by another program",
        f"{_PYTHON}errno.html#errno.EADDRINUSE",
    ),
    _known(
        r"unrecognized arguments|following arguments are required|error: argument ",
        FailureClass.BAD_OPTION,
        "the program does not accept one of its arguments; correct args",
        f"{_PYTHON}argparse.html#exiting-methods",
    ),
    _known(
        r"\bout of memory\b|\bMemoryError\b|std::bad_alloc",
        FailureClass.OUT_OF_MEMORY,
        "not enough memory: use a smaller model, or run fewer instances at once",
        f"{_PYTHON}exceptions.html#MemoryError",
    ),
)
