"""What people do to an installation from outside: back up, restore, examine, build its engine."""

from llamactl.maintenance.backup import backup, restore
from llamactl.maintenance.doctor import Finding, Level, examine
from llamactl.maintenance.engine_build import build_engine

__all__ = ["Finding", "Level", "backup", "build_engine", "examine", "restore"]
