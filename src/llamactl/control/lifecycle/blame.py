"""Was it the engine's fault, or that of what it was asked?"""

from __future__ import annotations

from dataclasses import replace

from llamactl.control.lifecycle.running_process import RunningProcess
from llamactl.core.exits import ExitReport
from llamactl.core.ports.activator import Leases
from llamactl.observe import logger

log = logger("control")


def on_account(report: ExitReport, process: RunningProcess, leases: Leases) -> ExitReport:
    """A crash while it served is put on the account of what it served."""
    one = process.instance
    if not report.own_fault or process.ready_at is None:
        return report
    requests = tuple(leases.in_flight(one.id, process.record.generation))
    if not requests and not leases.count(one.id):
        return report
    named = " ".join(f"{r.id} (key {r.key} {r.key_name})" for r in requests)
    log.warning("engine_crashed_serving", name=one.name, cause=report.failure, requests=named)
    return replace(report, excused=True, requests=requests)
