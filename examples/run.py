"""Serve with the small chat model defined as `smollm2`, until Ctrl-C."""

from __future__ import annotations

import contextlib
import urllib.error
from pathlib import Path

from server import Server, model_path

PORT = 8080


def main() -> None:
    with Server(Path.cwd() / ".demo", PORT) as server:
        with contextlib.suppress(urllib.error.HTTPError):  # there since the last run
            body = {"model": str(model_path()), "ctx_size": 2048}
            server.call("POST", "/api/v1/instances/smollm2?start=false", body)
        print(f"""
smollm2 is defined; it starts when it is asked. Try:

  curl {server.url}/v1/chat/completions \\
    -H "Authorization: Bearer $(cat .demo/management_key)" \\
    -H "Content-Type: application/json" \\
    -d '{{"model": "smollm2", "messages": [{{"role": "user", "content": "Hello!"}}]}}'

Ctrl-C stops it.""")
        with contextlib.suppress(KeyboardInterrupt):
            server.wait()


if __name__ == "__main__":
    main()
