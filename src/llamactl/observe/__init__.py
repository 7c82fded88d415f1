"""What llamactl says of itself: the structured log, numbers, its state to a service manager."""

from llamactl.observe.log import configure, logger
from llamactl.observe.meters import Meter, Meters
from llamactl.observe.rates import Rate, Rates
from llamactl.observe.systemd import notify

__all__ = ["Meter", "Meters", "Rate", "Rates", "configure", "logger", "notify"]
