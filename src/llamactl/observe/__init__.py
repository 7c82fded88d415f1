"""What llamactl says of itself: the structured log, numbers, its state to a service manager."""

from llamactl.observe.log import configure, logger
from llamactl.observe.loop_clock import Alarm, LoopClock
from llamactl.observe.meters import HISTOGRAMS, NUMBERS, ByInstance, ContextMeter, Meter, Meters
from llamactl.observe.rates import Rate, Rates
from llamactl.observe.systemd import notify

__all__ = [
    "HISTOGRAMS", "NUMBERS", "Alarm", "ByInstance", "ContextMeter", "LoopClock", "Meter", "Meters",
    "Rate", "Rates", "configure", "logger", "notify",
]  # fmt: skip
