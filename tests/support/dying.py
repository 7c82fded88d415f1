"""`llamactl serve` that dies by SIGKILL when it has taken over, before it says so."""

from __future__ import annotations

import os
import signal
from typing import Any

from llamactl.cli.main import main
from llamactl.takeover import Predecessor


async def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    setattr(Predecessor, "serving", die)  # noqa: B010
    main()
