"""What runs where engines run: spawn, signal, reap, probe, log files. Decides nothing."""

from llamactl.node.agent import NodeAgent
from llamactl.node.contexts.verdicts import unused_contexts
from llamactl.node.engine.builds import Build, EngineBuilds
from llamactl.node.engine.command import find_engine
from llamactl.node.engine.engine_info import CommandEngineProbe
from llamactl.node.engine.inventory import installed
from llamactl.node.engine.launch import ModelAccess
from llamactl.node.engine.scrape import busy_slots
from llamactl.node.engine.vocabularies import Vocabularies
from llamactl.node.host.data_dir import DataDir
from llamactl.node.host.gpus import has_unmeasured, totals
from llamactl.node.host.gpus import ids as gpu_ids
from llamactl.node.host.graphics import makers
from llamactl.node.host.memory import free_disk, free_ram, total_ram
from llamactl.node.host.processor import instruction_sets
from llamactl.node.host.revocation_file import SlotFile
from llamactl.node.logs.rotation import Rotation, RotationRules
from llamactl.node.process.adopted import is_alive
from llamactl.node.process.ports import is_free, owner_of
from llamactl.node.process.reaper import keep_reaping

__all__ = [
    "Build",
    "CommandEngineProbe",
    "DataDir",
    "EngineBuilds",
    "ModelAccess",
    "NodeAgent",
    "Rotation",
    "RotationRules",
    "SlotFile",
    "Vocabularies",
    "busy_slots",
    "find_engine",
    "free_disk",
    "free_ram",
    "gpu_ids",
    "has_unmeasured",
    "installed",
    "instruction_sets",
    "is_alive",
    "is_free",
    "keep_reaping",
    "makers",
    "owner_of",
    "total_ram",
    "totals",
    "unused_contexts",
]
