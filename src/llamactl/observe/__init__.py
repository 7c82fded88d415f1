"""What llamactl says of itself: the structured log."""

from llamactl.observe.log import configure, logger

__all__ = ["configure", "logger"]
