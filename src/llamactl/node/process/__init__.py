"""Processes and what holds them: groups, ports, control groups."""
