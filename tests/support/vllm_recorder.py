"""Records what a running vLLM answers, byte for byte, for the tests that have none.

python vllm_recorder.py PORT KEY MODEL ADAPTER, of an engine on `tiny_hf`'s model;
python vllm_recorder.py LOG…, of engines that ended.
"""

from __future__ import annotations

import json
import re
import socket
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "recorded/vllm"
Body = dict[str, object]


def _said(model: str, **more: object) -> Body:
    messages = [{"role": "user", "content": "hello"}]
    return {"model": model, "messages": messages, "max_tokens": 8, "temperature": 0, **more}


def requests(model: str, adapter: str) -> dict[str, tuple[str, str, Body | None]]:
    """By the name of the recording: method, path, body."""
    chat, prompt = "/v1/chat/completions", {"model": model, "prompt": "hi", "max_tokens": 4}
    usage = {"stream": True, "stream_options": {"include_usage": True}}
    return {
        "health": ("GET", "/health", None),
        "models": ("GET", "/v1/models", None),
        "chat": ("POST", chat, _said(model)),
        "chat-of-adapter": ("POST", chat, _said(adapter)),
        "chat-stream": ("POST", chat, _said(model, stream=True)),
        "chat-stream-usage": ("POST", chat, _said(model, **usage)),
        "completion": ("POST", "/v1/completions", prompt),
        "tokenize": ("POST", "/tokenize", {"model": model, "prompt": "hi"}),
        "error-unknown-model": ("POST", chat, _said("other")),
        "error-too-long": ("POST", chat, _said(model, max_tokens=100_000)),
        "error-bad-value": ("POST", chat, _said(model, temperature=-1)),
        "error-not-embedding": ("POST", "/v1/embeddings", {"model": model, "input": "hi"}),
        "error-unknown-path": ("GET", "/v1/nothing", None),
        "metrics": ("GET", "/metrics", None),
    }


def ask(port: int, key: str, method: str, path: str, body: Body | None) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    head = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: close"]
    head += [f"Authorization: Bearer {key}"] if key else []
    head += ["Content-Type: application/json", f"Content-Length: {len(content)}"] * bool(content)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode() + content)
        found = b""
        while data := connection.recv(1 << 16):
            found += data
    return found


def keep_log(file: Path) -> None:
    """Without the places where it was made."""
    text = file.read_text()
    for prefix in re.findall(r"(/\S*?/)lib/python3", text):
        text = text.replace(prefix, "/opt/vllm/")
    (FOLDER / f"{file.stem}.log").write_text(text)


def main(port: int, key: str, model: str, adapter: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, (method, path, body) in requests(model, adapter).items():
        (FOLDER / f"{name}.http").write_bytes(ask(port, key, method, path, body))
    (FOLDER / "error-wrong-key.http").write_bytes(ask(port, "wrong", "GET", "/v1/models", None))


if __name__ == "__main__":
    if sys.argv[1].isdigit():
        main(int(sys.argv[1]), *sys.argv[2:5])
    else:
        for name in sys.argv[1:]:
            keep_log(Path(name))
