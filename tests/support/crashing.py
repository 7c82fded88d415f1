"""`llamactl serve` that kills itself by SIGKILL at one of its points.

    python crashing.py POINT COUNT_FILE serve ...

A point is the moment before, or after, a write to the store, a spawn, a release of a held-back
engine, a signal. How many were passed stands in COUNT_FILE, a byte each.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from llamactl.cli.main import main
from llamactl.node.process.adopted import AdoptedProcess
from llamactl.node.process.process import Process
from llamactl.store import Database

lock = threading.Lock()
passed = 0


def point() -> None:
    global passed  # noqa: PLW0603  one process, one count
    with lock:
        passed += 1
        os.write(count, b".")
        if passed == crash_at:
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()


def around(owner: Any, name: str, *, when: Callable[..., bool] = lambda *a, **k: True) -> None:
    original = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        matters = when(*args, **kwargs)
        if matters:
            point()
        result = original(*args, **kwargs)
        if matters:
            point()
        return result

    setattr(owner, name, staticmethod(wrapped) if name == "spawn_held" else wrapped)


if __name__ == "__main__":
    crash_at = int(sys.argv[1])
    count = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    around(Database, "_transact", when=lambda *_, **more: more.get("writes", False))
    around(Process, "spawn_held")
    around(Process, "release")
    around(Process, "signal")
    around(AdoptedProcess, "signal")
    sys.argv = ["llamactl", *sys.argv[3:]]
    main()
