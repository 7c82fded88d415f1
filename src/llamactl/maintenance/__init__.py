"""What people do to an installation from outside of it: back it up, restore it, examine it."""

from llamactl.maintenance.backup import backup, restore
from llamactl.maintenance.doctor import Finding, Level, examine

__all__ = ["Finding", "Level", "backup", "examine", "restore"]
