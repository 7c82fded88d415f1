"""`llamactl serve` whose clock can be set: `python stepping.py FILE serve ...`.

The file holds by how many seconds the clock is wrong.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

right = time.time


def wrong() -> float:
    return right() + float(OFFSET.read_text())


if __name__ == "__main__":
    OFFSET = Path(sys.argv[1])
    sys.argv = ["llamactl", *sys.argv[2:]]
    time.time = wrong
    from llamactl.cli.main import main

    main()
