"""What runs where engines run: spawn, signal, reap, probe, log files. Decides nothing."""

from llamactl.node.adopted import is_alive
from llamactl.node.agent import NodeAgent
from llamactl.node.command import find_engine
from llamactl.node.data_dir import DataDir
from llamactl.node.gpus import totals
from llamactl.node.launch import ModelAccess
from llamactl.node.ports import is_free, owner_of
from llamactl.node.reaper import keep_reaping
from llamactl.node.revocation_file import SlotFile
from llamactl.node.rotation import Rotation, RotationRules
from llamactl.node.scrape import busy_slots, scrape
from llamactl.node.selftest import CommandEngineProbe
from llamactl.node.usage import free_disk, free_ram, total_ram

__all__ = [
    "CommandEngineProbe",
    "DataDir",
    "ModelAccess",
    "NodeAgent",
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
