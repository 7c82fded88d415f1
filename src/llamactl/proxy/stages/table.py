"""Tables of stages and steps: what a table does not have cannot happen."""

from __future__ import annotations

from collections.abc import Mapping


class Name:
    """Of a stage or a step. A member of an Enum takes ten times as long to look up."""

    __slots__ = ("row", "value")

    def __init__(self, value: str) -> None:
        self.value = value
        self.row: dict[Name, Name] = {}  # of a stage, in its table: the next stage by step

    def __repr__(self) -> str:
        return f"<Name {self.value}>"


Table = Mapping[Name, dict[Name, Name]]  # by stage and step: the next stage


def follow(table: Table) -> None:
    """From now on its stages know where each step leads."""
    for stage, row in table.items():
        stage.row = row


class ImpossibleStep(Exception):
    """Our own error."""

    def __init__(self, stage: Name, step: Name) -> None:
        super().__init__(f"{step.value} while {stage.value}")


class Staged:
    """What goes through the stages of a table."""

    _stage: Name

    def _move(self, step: Name) -> None:
        """Raises ImpossibleStep, and stays where it is."""
        try:
            self._stage = self._stage.row[step]
        except KeyError:
            raise ImpossibleStep(self._stage, step) from None


def drawn(table: Table, last: Name) -> str:
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
