"""Tables of stages and steps: what a table does not have cannot happen."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar


class Name(Enum):
    """Of a stage or a step."""

    __hash__ = object.__hash__  # that of Enum takes ten times as long


Stage = TypeVar("Stage", bound=Name)
Step = TypeVar("Step", bound=Name)


class ImpossibleStep(Exception):
    """Our own error."""

    def __init__(self, stage: Name, step: Name) -> None:
        super().__init__(f"{step.value} while {stage.value}")


def drawn(table: Mapping[Stage, Mapping[Step, Stage]], last: Stage) -> str:
    """As a diagram in Mermaid; the steps that lead to `last` from anywhere, once."""
    rows = [row for stage, row in table.items() if stage is not last]
    always = [step for step in rows[0] if all(row.get(step) is last for row in rows)]
    steps = sorted(
        f"    {stage.value} --> {to.value}: {step.value}"
        for stage, row in table.items()
        for step, to in row.items()
        if to is not stage and step not in always
    )
    ends = ", ".join(sorted(step.value for step in always))
    note = f"    note right of {last.value}: from anywhere by {ends}"
    return "\n".join(["stateDiagram-v2", f"    [*] --> {next(iter(table)).value}", *steps, note])
