"""Processes that relay requests beside the one that decides (`server.proxy_processes`).

`relaying` is inside such a process: it accepts clients, and asks the other one for leases. It
outlives that one, and serves what is ready until the next one comes. `deciding` is inside the other
one: `supervisor.py` starts the processes, and replaces those that die. They talk over a `link`.
Its modules are imported where they are needed: no start takes longer for processes that it lacks.
"""
