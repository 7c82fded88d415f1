"""Waits to be copied: each copy is a proxy process, and begins within milliseconds.

All that a proxy process needs is imported here, once, and its memory is shared by all of them.
This process has one thread and no event loop, so it can be forked.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys

gc.disable()

import uvloop  # noqa: E402

from llamactl.observe import configure, logger  # noqa: E402
from llamactl.proxy_process.given import Given  # noqa: E402
from llamactl.proxy_process.relaying.process import ProxyProcess  # noqa: E402
from llamactl.proxy_process.template import FD_VARIABLE, LARGEST  # noqa: E402

_FDS = 4
log = logger("proxy")


def main() -> None:
    asking = socket.socket(fileno=int(os.environ.pop(FD_VARIABLE)))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # the process that decides says when to end
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # copies that end are not waited for
    gc.freeze()
    while True:
        data, fds, _, _ = socket.recv_fds(asking, LARGEST, _FDS)
        if not data:
            return
        if os.fork() == 0:
            asking.close()
            _run(data, fds)
        for fd in fds:
            os.close(fd)


def _run(data: bytes, fds: list[int]) -> None:
    """Does not return."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    status = 1
    try:
        for fd in fds:
            os.set_inheritable(fd, False)
        given = Given.of(data, fds)
        settings = given.settings
        configure(json=settings.log.format == "json", level=settings.log.level)
        gc.enable()
        uvloop.run(_serve(given))
        status = 0
    except Exception as exc:
        log.failure("proxy_process_failed", exc)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # what the template set up to run at its exit is not ours


async def _serve(given: Given) -> None:
    await ProxyProcess(given).run()


if __name__ == "__main__":
    main()
