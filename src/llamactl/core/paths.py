"""What the management API has at a path, as far as who may ask there goes."""

from __future__ import annotations

from enum import Enum, auto


class PathGuard(Enum):
    NOTHING = auto()  # there is nothing at this path
    OPEN = auto()  # no key needed: the page, signing in, health
    OWN = auto()  # another program's API, which asks for keys itself
    MANAGEMENT = auto()  # a management key
