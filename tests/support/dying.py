"""`llamactl serve` of which one dies by SIGKILL in a takeover: `python dying.py [old] serve ...`.

The new one when it has everything, before it says so; or the old one when it has come to rest.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from llamactl.cli.main import main
from llamactl.takeover import Predecessor
from llamactl.takeover.successor import Successor


async def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_now(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1] == "old":
        del sys.argv[1]
        setattr(Successor, "give", die_now)  # noqa: B010
    else:
        setattr(Predecessor, "lets_go", die)  # noqa: B010
    main()
