"""Ports of the engines that tests start."""

from __future__ import annotations

import os


def instance_ports() -> dict[str, str]:
    """A range of its own for each of the tests' processes that run side by side."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    if not worker:  # beside another run, say
        return {k: v for k, v in os.environ.items() if k == "LLAMACTL_INSTANCE_PORT_RANGE"}
    first = 8000 + 500 * int(worker)
    return {"LLAMACTL_INSTANCE_PORT_RANGE": f"{first}-{first + 499}"}
