"""One llamactl takes over from another: sockets, leases, clients; no request fails by it.

`Successor` is how the old process sees the new one, `Predecessor` the other way round; `Upgrade`
is what the old one does.
"""

from llamactl.takeover.channel import Channel, HandoverState
from llamactl.takeover.predecessor import Predecessor
from llamactl.takeover.rights import Rights
from llamactl.takeover.upgrade import Upgrade

__all__ = ["Channel", "HandoverState", "Predecessor", "Rights", "Upgrade"]
