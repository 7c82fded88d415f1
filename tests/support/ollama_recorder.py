"""Notes what Ollama's own program sends, on its way to a server: how its fixture was made.

    python tests/support/ollama_recorder.py URL KEY PROGRAM tests/support/ollama_requests.json

URL is a server with instances `tiny` and `embedder`, KEY an inference key of it; PROGRAM is
ollama_program.go, built. It asks us, we ask the server. What it sent is written down without the
key. Tests read the file, never this.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMANDS = (
    ["list"],
    ["show", "tiny"],
    ["run", "tiny", "Hello"],
    ["run", "tiny", "Hello", "--format", "json"],
    ["run", "tiny", "Hello", "--keepalive", "5m", "--think=false"],
    ["run", "embedder", "Hello"],
    ["api-chat"],
    ["api-embed"],
    ["api-embeddings"],
    ["api-version"],
    ["ps"],
    ["stop", "tiny"],
    ["pull", "org/tiny"],
    ["rm", "tiny"],
    ["show", "nope"],
)
_LEFT_OUT = ("host", "content-length", "connection", "accept-encoding")


def record(server: str, key: str, program: str) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    class Between(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def log_message(self, *_: object) -> None:
            pass

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _LEFT_OUT}
            asked = urllib.request.Request(
                server + self.path, body or None, headers, method=self.command
            )
            try:
                answer = urllib.request.urlopen(asked)
            except urllib.error.HTTPError as exc:
                answer = exc
            data = answer.read()
            self.send_response(answer.status)
            self.send_header("content-type", answer.headers.get("content-type", ""))
            self.end_headers()
            self.wfile.write(data)
            sent.append(
                {
                    "method": self.command,
                    "path": self.path.replace(key, "KEY"),
                    "headers": headers,
                    "body": body.decode(),
                    "status": answer.status,
                }
            )

        do_GET = do_HEAD = do_POST = do_DELETE = _pass_on

    between = ThreadingHTTPServer(("127.0.0.1", 0), Between)
    threading.Thread(target=between.serve_forever, daemon=True).start()
    host = f"http://127.0.0.1:{between.server_port}/k/{key}"
    found = []
    for command in COMMANDS:
        done = subprocess.run(
            [program, *command],
            env={**os.environ, "OLLAMA_HOST": host},
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False,
        )  # fmt: skip
        print(command, done.returncode, done.stdout, done.stderr)
        found.append({"command": command, "code": done.returncode, "sent": [*sent]})
        sent.clear()
    between.shutdown()
    return found


if __name__ == "__main__":
    url, key, program, out = sys.argv[1:]
    Path(out).write_text(json.dumps(record(url, key, program), indent=1) + "\n")
