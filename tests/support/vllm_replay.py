"""Answers as a real vLLM did when it was recorded: `vllm_replay.py serve MODEL --port PORT …`.

A prompt `die` ends it as vLLM ends when a process of its engine was killed: with code 0.
With `--enable-sleep-mode` in its development mode it sleeps and wakes; what it says then follows
vLLM's documentation, as nothing that sleeps could be recorded without a GPU. `SLEEP_FAULT` has it
fail: `ignored`, `refused`, `dies`, `never sleeps`, `stays asleep`, or `hangs` when it is woken.
"""

from __future__ import annotations

import json
import os
import signal
import socketserver
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from support import vllm_recorded as recorded
from support.replayed import read_request

OPEN = ("/health", "/metrics", "/tokenize", "/sleep?level=1", "/wake_up")  # without its key
SLEEPING = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 8\r\n\r\nsleeping"
DONE = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
REFUSED = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\noops"
FAULT = os.environ.get("SLEEP_FAULT", "")


class Sleep:
    """Is it asleep? One for the process."""

    now = False


def can_sleep() -> bool:
    return "--enable-sleep-mode" in sys.argv and os.environ.get("VLLM_SERVER_DEV_MODE") == "1"


def metrics() -> bytes:
    said = recorded.answer("metrics")
    if not Sleep.now:
        return said
    for state, value in ((b'"awake"} ', b"1"), (b'"weights_offloaded"} ', b"0")):
        other = b"0" if value == b"1" else b"1"
        said = said.replace(state + value, state + other)
    return said


def told(path: str) -> bytes:
    """To sleep, or to wake."""
    if FAULT == "refused":
        return REFUSED
    if FAULT == "dies":
        die()
    if (path, FAULT) in (("/wake_up", "hangs"), ("/sleep?level=1", "never sleeps")):
        threading.Event().wait()
    if path == "/wake_up":
        Sleep.now = FAULT == "stays asleep"
    elif FAULT != "ignored":
        Sleep.now = True
    return DONE


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        asked = read_request(self.rfile)
        print(f'INFO:     127.0.0.1:0 - "{asked.method} {asked.path} HTTP/1.1" 200 OK', flush=True)
        self.wfile.write(self._answer(asked.path, asked.authorization, asked.body))

    def _answer(self, path: str, authorization: str, body: bytes) -> bytes:
        if path not in OPEN and authorization != f"Bearer {os.environ['VLLM_API_KEY']}":
            return recorded.answer("error-wrong-key")
        if path in ("/sleep?level=1", "/wake_up") and can_sleep():
            return told(path)
        if path in ("/health", "/metrics", "/v1/models", "/tokenize"):
            return metrics() if path == "/metrics" else recorded.answer(path.rpartition("/")[2])
        return SLEEPING if Sleep.now else self._infer(path, body)

    def _infer(self, path: str, body: bytes) -> bytes:
        asked = json.loads(body or b"{}")
        if asked.get("prompt") == "die":
            die()
        if path == "/v1/completions":
            return recorded.answer("completion")
        if path != "/v1/chat/completions":
            return recorded.answer("error-unknown-path")
        if asked.get("max_tokens", 0) > 512:
            return recorded.answer("error-too-long")
        by_name = {"first": "chat", "second": "chat", "ad": "chat-of-adapter"}
        name = by_name.get(asked["model"], "error-unknown-model")
        return recorded.answer("chat-stream" if name == "chat" and asked.get("stream") else name)


def die() -> None:
    print("\n".join(recorded.log("engine-killed")[-60:]), flush=True)
    os._exit(0)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main() -> None:
    if "--help=all" in sys.argv:
        print(recorded.help_text())
        return
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print("environment", *sorted(k for k in os.environ if k.startswith(("OMP_", "PYTHONDONT"))))
    print("INFO:     Application startup complete.", flush=True)
    port = int(sys.argv[sys.argv.index("--port") + 1])
    Server(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
