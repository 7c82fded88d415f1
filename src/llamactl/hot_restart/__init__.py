"""One llamactl takes over from another: sockets, leases, clients; no request fails by it.

`Successor` is how the old process sees the new one, `Predecessor` the other way round; `Upgrade`
is what the old one does. They talk over a `link`.
"""

from llamactl.hot_restart.handover_state import HandoverState
from llamactl.hot_restart.predecessor import Predecessor
from llamactl.hot_restart.rights import Rights
from llamactl.hot_restart.upgrade import Upgrade

__all__ = ["HandoverState", "Predecessor", "Rights", "Upgrade"]
