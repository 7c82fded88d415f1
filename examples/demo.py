"""The main job, from nothing: serve, create an instance, chat with it, look, stop."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from server import Server, model_path, say

QUESTION = "What is the capital of France? Answer in one sentence."


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="llamactl-demo-") as folder:
        say("starting llamactl serve")
        with Server(Path(folder)) as server:
            say(f"creating the instance smollm2 from {model_path().name}")
            body = {"model": str(model_path()), "ctx_size": 2048, "parallel": 1}
            made = server.call("POST", "/api/v1/instances/smollm2", body)
            print(f"    status {made['status']}, served by {made['engine']}")
            say(f"asking it: {QUESTION}")
            answer = chat(server)
            say("GET /api/v1/instances")
            for row in server.call("GET", "/api/v1/instances"):
                print(
                    f"    {row['name']:12} {row['status']:10} port {row['port']} pid {row['pid']}"
                )
            say("GET /api/v1/instances/smollm2/logs?lines=3")
            for line in server.text("/api/v1/instances/smollm2/logs?lines=3").splitlines():
                print(f"    {line[:110]}")
            say("POST /api/v1/instances/smollm2/stop")
            stopped = server.call("POST", "/api/v1/instances/smollm2/stop?wait=true")
            print(f"    status {stopped['status']}")
        say("llamactl has ended")
    return 0 if answer.strip() else 1


def chat(server: Server) -> str:
    """Stream one answer to the terminal; return it whole."""
    body = {
        "model": "smollm2",
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": 60,
        "temperature": 0,
        "stream": True,
    }
    answer = ""
    print("    ", end="")
    with server.open("POST", "/v1/chat/completions", body) as stream:
        for line in stream:
            data = line.decode().strip().removeprefix("data: ")
            if not data.startswith("{"):
                continue
            for choice in json.loads(data)["choices"]:
                piece = choice["delta"].get("content") or ""
                answer += piece
                print(piece, end="", flush=True)
    print()
    return answer


if __name__ == "__main__":
    sys.exit(main())
