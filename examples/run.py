"""Serve with the small chat model defined as `smollm2`, until Ctrl-C.

With the settings and the data directory that `llamactl` has without flags, so that any other
command finds this server.
"""

from __future__ import annotations

import contextlib

from server import Server, model_path

from llamactl.client import Client
from llamactl.core.errors import NameTaken


def main() -> None:
    with Server(None, 8080) as server:
        with Client(server.url, server.key) as client, contextlib.suppress(NameTaken):
            body = {"model": str(model_path()), "ctx_size": 2048}
            client.instances.create("smollm2", body, start=False)
        print(f"""
The instance smollm2 is ready to start on demand. Try, in another terminal:

  .venv/bin/llamactl run smollm2 "Say hello"
  .venv/bin/llamactl ps

or open {server.url} in a browser and sign in with this key:

  {server.key}

Ctrl-C stops it.""")
        with contextlib.suppress(KeyboardInterrupt):
            server.wait()


if __name__ == "__main__":
    main()
