"""Answers as a real SGLang did when it was recorded; `sglang.launch_server` of a fake package.

It is ready when the file in SGLANG_REPLAY_LOADED is there. A prompt `die` ends it as SGLang ends
when a process of it was killed: by SIGKILL, from itself.
"""

from __future__ import annotations

import json
import os
import signal
import socketserver
import sys
from pathlib import Path
from typing import NoReturn

from support import sglang_recorded as recorded
from support.replayed import read_request

METRICS = "--enable-metrics"
FIRED_UP = "The server is fired up and ready to roll!"
_OPEN = ("/health", "/metrics", "/ready")  # paths that begin so need no key


class Handler(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        asked = read_request(self.rfile)
        content = json.loads(asked.body or b"{}")
        answer = recorded.answer(self._name(asked.path, asked.authorization, content))
        status = answer.split(b"\r\n")[0].decode().removeprefix("HTTP/1.1 ")
        print(
            f'INFO:     127.0.0.1:0 - "{asked.method} {asked.path} HTTP/1.1" {status}', flush=True
        )
        self.wfile.write(answer)

    def _name(self, path: str, authorization: str, asked: dict[str, object]) -> str:
        """Of the recording."""
        if not path.startswith(_OPEN) and authorization != f"Bearer {self.server.key}":
            return "error-wrong-key"
        if path == "/health":
            return "health" if self.server.is_loaded() else "health-loading"
        if path == "/v1/models" or (path == "/metrics" and METRICS in sys.argv):
            return path.rpartition("/")[2]
        if path != "/v1/chat/completions":
            return "error-unknown-path"
        if asked["messages"] == [{"role": "user", "content": "die"}]:
            die("scheduler-killed")
        if int(str(asked.get("max_tokens", 0))) > 512:
            return "error-too-long"
        if asked["model"] != self.server.served:
            return "chat-of-any-name"
        return "chat-stream" if asked.get("stream") else "chat"


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    loaded = False

    def __init__(self, options: dict[str, str]) -> None:
        super().__init__((options["--host"], int(options["--port"])), Handler)
        self.key = options.get("--api-key", "")
        self.served = options["--served-model-name"]

    def is_loaded(self) -> bool:
        loaded = Path(os.environ["SGLANG_REPLAY_LOADED"]).exists()
        if loaded and not self.loaded:
            print(FIRED_UP, flush=True)
        self.loaded = loaded
        return loaded


def die(why: str) -> NoReturn:
    """SGLang names its own process last, and takes it along."""
    last = f"kill_process_tree called: parent_pid={os.getpid()}, include_parent=True, pid="
    lines = recorded.log(why).splitlines()[:-1]
    print("\n".join([*lines, f"[2026-11-29 07:37:29] {last}{os.getpid()}"]), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    sys.exit()


def main() -> None:
    words = [word for word in sys.argv[1:] if word != METRICS]
    options = dict(zip(words[::2], words[1::2], strict=True))
    if options.keys() - recorded.flags():
        print(recorded.log("unknown-option"), flush=True)
        sys.exit(2)
    if not Path(options["--model-path"]).is_dir():
        print(recorded.log("missing-path"), flush=True)
        sys.exit(1)
    if "--mem-fraction-static" in options:
        die("memory")
    signal.signal(signal.SIGTERM, lambda *_: die("scheduler-killed"))
    print(recorded.log("ready").partition("INFO:     Uvicorn running")[0], flush=True)
    Server(options).serve_forever()
