"""`llamactl serve` whose takeovers go wrong: `python dying.py [HOW] serve ...`.

The new one dies by SIGKILL when it has everything, before it says so. HOW `old`: the old one dies
when it has come to rest; `locked`: the store is locked then, for three seconds; `slow`: the new
one leaves its pid in a file and waits for ever; `late`: it dies when it alone may act; `unread`:
it can't read what is stored.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

from llamactl.cli.main import main
from llamactl.control.lifecycle import recovery
from llamactl.core.errors import StoreUnavailable
from llamactl.hot_restart import Predecessor
from llamactl.hot_restart.handover_state import FDS_VARIABLE
from llamactl.hot_restart.successor import Successor


async def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_now(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


give = Successor.give


def give_locked(successor: Successor, leases: Any) -> None:
    store = sqlite3.connect("llamactl.db", check_same_thread=False)
    store.execute("BEGIN IMMEDIATE")
    asyncio.get_running_loop().call_later(3, store.rollback)
    give(successor, leases)


lets_go = Predecessor.lets_go


async def die_late(predecessor: Predecessor) -> bool:
    await lets_go(predecessor)
    os.kill(os.getpid(), signal.SIGKILL)
    return True


async def read_nothing(*_: Any) -> Any:
    raise StoreUnavailable("the store did not answer: a fault of the test")


async def wait(*_: Any) -> None:
    Path("part").write_text(str(os.getpid()))  # noqa: ASYNC240  nothing else is to be done
    Path("part").rename("prepared")  # noqa: ASYNC240
    await asyncio.Future()


FAULTS: dict[str, tuple[Any, str, Any]] = {
    "old": (Successor, "give", die_now),
    "locked": (Successor, "give", give_locked),
    "slow": (Predecessor, "lets_go", wait),
    "late": (Predecessor, "lets_go", die_late),
    "unread": (recovery, "read", read_nothing),
    "": (Predecessor, "lets_go", die),
}

if __name__ == "__main__":
    how = sys.argv.pop(1) if sys.argv[1] in FAULTS else ""
    if how != "unread" or FDS_VARIABLE in os.environ:  # the first one has to start
        setattr(*FAULTS[how])
    main()
