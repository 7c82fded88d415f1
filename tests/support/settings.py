"""Settings that a test wants otherwise."""

from __future__ import annotations

from llamactl.config import Settings


def settings(section: str, **given: object) -> Settings:
    return Settings.model_validate({section: given})
