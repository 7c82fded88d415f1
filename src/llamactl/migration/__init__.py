"""What other programs were told, in our words: instances, settings, and a word on every key."""

from llamactl.migration.go_llamactl import from_go_llamactl
from llamactl.migration.llama_swap import from_llama_swap
from llamactl.migration.report import Migrated, Row

__all__ = ["Migrated", "Row", "from_go_llamactl", "from_llama_swap"]
