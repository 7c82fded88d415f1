"""`llamactl serve` whose event loop stands still for SECONDS at each SIGUSR1.

python stalling.py SECONDS serve ...
"""

from __future__ import annotations

import signal
import sys
import time

from llamactl.cli.main import main

if __name__ == "__main__":
    seconds = float(sys.argv[1])
    sys.argv = ["llamactl", *sys.argv[2:]]
    signal.signal(signal.SIGUSR1, lambda *_: time.sleep(seconds))
    main()
