"""Why an engine did not start, as far as it can be seen from outside.

llama.cpp writes its log by a thread that its exit does not wait for: on a busy machine the last
lines, those that tell why, are lost at times; and a log can be switched off. What it says may also
leave open which of its files is meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from llamactl.backends import Backend
from llamactl.backends.error_lines import complaint
from llamactl.core.events import ProcessRecord
from llamactl.core.exits import ExitReport, FailureClass
from llamactl.node.engine.named_files import bad_files
from llamactl.node.process.ports import is_free

_OF_FILES = (FailureClass.MODEL_FILE_MISSING, FailureClass.MODEL_INVALID)
_OPEN = (*_OF_FILES, FailureClass.BAD_OPTION, FailureClass.UNKNOWN)


def with_cause(
    report: ExitReport, backend: Backend, record: ProcessRecord, log: Sequence[str]
) -> ExitReport:
    """The report of a start that failed, with a more precise cause if one can be seen.

    `log`: more of its lines than the report has.
    """
    if report.failure is FailureClass.CRASHED and not report.error_line:
        return _explained(report, backend, record)
    if report.failure not in _OPEN:
        return report
    options = record.options.backend_options
    precise = complaint(log, backend.vague_lines)
    silent = not precise or bool(backend.vague_lines and backend.vague_lines.search(precise))
    unknown = report.failure is FailureClass.UNKNOWN
    text, likely = "\n".join(log), report.failure in _OF_FILES or (unknown and silent)
    for bad in bad_files(backend, options):
        # a path in a container is none of this machine's: what it complains of is another thing
        if bad.path in text or (likely and bad.failure in _OF_FILES):
            return replace(report, failure=bad.failure, advice=bad.advice, error_line=precise)
    if unknown and silent and not is_free(record.port):
        failure = FailureClass.PORT_TAKEN
        advice = next((p.advice for p in backend.failure_patterns if p.failure is failure), "")
        return replace(report, failure=failure, advice=advice) if advice else report
    return _explained(report, backend, record) if unknown else report


def _explained(report: ExitReport, backend: Backend, record: ProcessRecord) -> ExitReport:
    """Why it did not say why."""
    name = backend.silenced_by(record.command, record.options.environment)
    if not name:
        return report
    return replace(report, advice=f"`{name}` switches its log off; remove it to see why")
