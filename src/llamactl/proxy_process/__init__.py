"""Processes that relay requests beside the one that decides (`server.proxy_processes`).

`relaying` is inside such a process: it accepts clients, and asks the other one for leases. It
outlives that one, and serves what is ready until the next one comes. `deciding` is inside the other
one: `supervisor.py` starts the processes, and replaces those that die. They talk over a `link`.
"""

from llamactl.proxy_process.deciding.supervisor import Supervisor
from llamactl.proxy_process.engine_paths import engine_paths
from llamactl.proxy_process.meeting_place import MeetingPlace

__all__ = ["MeetingPlace", "Supervisor", "engine_paths"]
