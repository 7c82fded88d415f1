"""One llamactl takes over from another: sockets, leases, clients; no request fails by it.

`Successor` is how the old process sees the new one, `Predecessor` the other way round; `Upgrade`
is what the old one does.
"""

from llamactl.hot_restart.channel import Channel, HandoverState
from llamactl.hot_restart.predecessor import Predecessor
from llamactl.hot_restart.rights import Rights
from llamactl.hot_restart.upgrade import Upgrade

__all__ = ["Channel", "HandoverState", "Predecessor", "Rights", "Upgrade"]
