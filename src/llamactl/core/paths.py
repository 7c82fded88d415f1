"""What APIs have at a path, as far as who may ask there goes."""

from __future__ import annotations

import posixpath
from enum import Enum, auto


class PathGuard(Enum):
    """Of the management API's paths."""

    NOTHING = auto()  # there is nothing at this path
    OPEN = auto()  # no key needed: the page, signing in, health
    OWN = auto()  # another program's API, which asks for keys itself
    MANAGEMENT = auto()  # a management key


def resource(path: str) -> str:
    """The first word of a path of an API, below `/v1` or not."""
    return posixpath.normpath(path).removeprefix("/v1").lstrip("/").partition("/")[0]
