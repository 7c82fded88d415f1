"""One machine: spawn, signal, reap, probe, log files; the runner. Imports core and backends."""

from llamactl.runtime.adopted import is_alive
from llamactl.runtime.command import find_engine
from llamactl.runtime.data_dir import DataDir
from llamactl.runtime.gpus import totals
from llamactl.runtime.local import LocalMachine, ModelAccess
from llamactl.runtime.ports import is_free, owner_of
from llamactl.runtime.reaper import keep_reaping
from llamactl.runtime.revocation_file import SlotFile
from llamactl.runtime.rotation import Rotation, RotationRules
from llamactl.runtime.scrape import busy_slots, scrape
from llamactl.runtime.selftest import CommandEngineProbe
from llamactl.runtime.usage import free_disk, free_ram, total_ram

__all__ = [
    "CommandEngineProbe",
    "DataDir",
    "LocalMachine",
    "ModelAccess",
    "Rotation",
    "RotationRules",
    "SlotFile",
    "busy_slots",
    "find_engine",
    "free_disk",
    "free_ram",
    "is_alive",
    "is_free",
    "keep_reaping",
    "owner_of",
    "scrape",
    "total_ram",
    "totals",
]
