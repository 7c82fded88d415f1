"""One machine: spawn, signal, reap, probe, log files; the runner. Imports core and backends."""

from llamactl.runtime.command import find_engine
from llamactl.runtime.local import LocalMachine
from llamactl.runtime.scrape import scrape
from llamactl.runtime.selftest import CommandEngineProbe

__all__ = ["CommandEngineProbe", "LocalMachine", "find_engine", "scrape"]
