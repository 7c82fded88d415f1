"""Why an engine did not start, where it ended without a word.

llama.cpp writes its log by a thread that its exit does not wait for: on a busy machine the last
lines, those that tell why, are lost at times. What can be seen from outside is looked at then.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from llamactl.backends import Backend
from llamactl.backends.model_rules import ModelRules
from llamactl.core.events import ProcessRecord
from llamactl.core.exits import ExitReport, FailureClass
from llamactl.node.process.ports import is_free

# but not what the built-in engine says of every start that fails
_COMPLAINT = re.compile(r"error|fail|fatal|cannot|unable|denied|no such|not found", re.IGNORECASE)
_GENERAL = "Failed to init server"


def with_cause(report: ExitReport, backend: Backend, record: ProcessRecord) -> ExitReport:
    """The report of a start that failed, with a cause if it has none and one can be seen."""
    lines = [line for line in report.log_tail if not line.startswith("--- ")]
    if report.failure is not FailureClass.UNKNOWN or any(
        _COMPLAINT.search(line) and _GENERAL not in line for line in lines
    ):
        return report
    options, port = record.options.backend_options, record.port
    failure = _seen(options.get("model"), backend.models, port)
    advice = next((p.advice for p in backend.failure_patterns if p.failure is failure), "")
    return replace(report, failure=failure, advice=advice) if advice else report


def _seen(model: object, rules: ModelRules | None, port: int) -> FailureClass:
    if rules is not None and isinstance(model, str) and model.startswith("/"):
        try:
            with Path(model).open("rb") as file:
                if file.read(len(rules.magic)) != rules.magic:
                    return FailureClass.MODEL_INVALID
        except OSError:
            return FailureClass.MODEL_FILE_MISSING
    return FailureClass.UNKNOWN if is_free(port) else FailureClass.PORT_TAKEN
