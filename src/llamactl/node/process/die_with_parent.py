"""Becomes the given command, which the kernel then kills as soon as llamactl ends.

    python die_with_parent.py PID_OF_LLAMACTL COMMAND ARGUMENT…

Run as a script, so that no code of ours runs between fork and exec. PR_SET_PDEATHSIG outlives the
exec: https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_SET_PDEATHSIG = 1


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before we asked
        sys.exit(125)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
