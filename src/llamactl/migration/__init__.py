"""Converts other programs' configurations: instances, settings, and a note on every key."""

from llamactl.migration.go_llamactl import from_go_llamactl
from llamactl.migration.llama_swap import from_llama_swap
from llamactl.migration.report import Migrated, Row

__all__ = ["Migrated", "Row", "from_go_llamactl", "from_llama_swap"]
