"""`llamactl serve` whose takeovers go wrong: `python dying.py [HOW] serve ...`.

The new one dies by SIGKILL when it has everything, before it says so. HOW `old`: the old one dies
when it has come to rest; `locked`: the store is locked then, for three seconds; `slow`: the new
one leaves its pid in a file and waits for ever.
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
from llamactl.takeover import Predecessor
from llamactl.takeover.successor import Successor


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


async def wait(*_: Any) -> None:
    Path("part").write_text(str(os.getpid()))  # noqa: ASYNC240  nothing else is to be done
    Path("part").rename("prepared")  # noqa: ASYNC240
    await asyncio.Future()


FAULTS: dict[str, tuple[Any, str, Any]] = {
    "old": (Successor, "give", die_now),
    "locked": (Successor, "give", give_locked),
    "slow": (Predecessor, "lets_go", wait),
    "": (Predecessor, "lets_go", die),
}

if __name__ == "__main__":
    how = sys.argv.pop(1) if sys.argv[1] in FAULTS else ""
    setattr(*FAULTS[how])
    main()
