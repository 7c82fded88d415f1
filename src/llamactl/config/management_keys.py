"""Which management keys are too short to keep anybody out."""

from __future__ import annotations

from llamactl.core.errors import InvalidConfig

SHORTEST, LONG_ENOUGH = 8, 20  # characters
_CURE = "create one with `openssl rand -base64 32`, or remove it and llamactl generates one"


def warning_of(key: str, where: str) -> str:
    """What to say of a key that is set there; "" for a good one.

    Raises InvalidConfig for one that can be guessed in no time.
    """
    if len(key) < SHORTEST:
        raise InvalidConfig(
            f"{where}: this management key has {len(key)} characters and can be guessed; use at "
            f"least {SHORTEST}, or better {LONG_ENOUGH} or more: {_CURE}"
        )
    if len(key) < LONG_ENOUGH:
        return (
            f"{where}: this management key has only {len(key)} characters; use {LONG_ENOUGH} or "
            f"more: {_CURE}"
        )
    return ""
