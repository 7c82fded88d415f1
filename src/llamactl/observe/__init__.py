"""What llamactl says of itself: the structured log, and numbers."""

from llamactl.observe.log import configure, logger
from llamactl.observe.meters import Meter, Meters

__all__ = ["Meter", "Meters", "configure", "logger"]
