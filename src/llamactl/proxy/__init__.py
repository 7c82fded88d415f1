"""The data path: find the model, take a lease, relay. To follow a request, start in `entry`."""

from llamactl.proxy.front import Front
from llamactl.proxy.leases import LeaseBook

__all__ = ["Front", "LeaseBook"]
