"""What connects a process that relays requests to the one that decides about instances.

`messages.py` is all they say, `channel.py` carries it. `ProxyEnd` is the end of the one that
relays, `ControlEnd` of the one that decides.
"""

from llamactl.link.channel import Channel
from llamactl.link.control_end import ControlEnd
from llamactl.link.lease_news import LeaseNews
from llamactl.link.proxy_end import ProxyEnd

__all__ = ["Channel", "ControlEnd", "LeaseNews", "ProxyEnd"]
