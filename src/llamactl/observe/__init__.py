"""What llamactl says of itself: the structured log, numbers, its state to a service manager."""

from llamactl.observe.log import configure, logger
from llamactl.observe.loop_clock import Alarm, LoopClock, loop_clock
from llamactl.observe.meters import ByInstance, ContextMeter, Meter, Meters
from llamactl.observe.rates import Rate, Rates
from llamactl.observe.systemd import notify

__all__ = [
    "Alarm", "ByInstance", "ContextMeter", "LoopClock", "Meter", "Meters", "Rate", "Rates",
    "configure", "logger", "loop_clock", "notify",
]  # fmt: skip
