"""Records what a running SGLang answers, byte for byte, for the tests that have none.

python sglang_recorder.py PORT KEY MODEL, of an engine on `tiny_hf`'s model with `--enable-metrics`;
python sglang_recorder.py loading PORT, of one that was just started, until it is ready;
python sglang_recorder.py LOG…, of engines that ended.
"""

from __future__ import annotations

import gzip
import re
import sys
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.vllm_recorder import Body, ask

FOLDER = Path(__file__).parents[1] / "recorded/sglang"
CHAT = "/v1/chat/completions"
_LONGEST = 100  # lines of a log
# Where it was installed.
_PLACES = re.compile(r"/\S*/(?=(?:site-packages|lib/python3\.\d+|sglang)/)")
# Other warnings: of what is not installed, and of the machine.
_NO_NEWS = re.compile(
    r"Ignore import error when loading|Warning: |warnings\.warn|_cuda_getDeviceCount|nanobind: "
    r"| - leaked | - \.\.\. skipped|server_args=|nanobind\.readthedocs|return await original"
    r'|"GET /health'
)


def requests(model: str) -> dict[str, tuple[str, str, Body | None]]:
    """By the name of the recording: method, path, body."""

    def said(model: str, **more: object) -> Body:
        messages = [{"role": "user", "content": "hello"}]
        return {"model": model, "messages": messages, "max_tokens": 8, "temperature": 0, **more}

    return {
        "health": ("GET", "/health", None),
        "models": ("GET", "/v1/models", None),
        "chat": ("POST", CHAT, said(model)),
        "chat-of-any-name": ("POST", CHAT, said("other")),
        "chat-stream": ("POST", CHAT, said(model, stream=True)),
        "error-too-long": ("POST", CHAT, said(model, max_tokens=100_000)),
        "error-bad-value": ("POST", CHAT, said(model, temperature=-1)),
        "error-unknown-path": ("GET", "/v1/nothing", None),
        "metrics": ("GET", "/metrics", None),
    }


def keep_log(file: Path) -> None:
    """Its end, without the places where it was made, its key, and what says nothing."""
    lines = [line for line in file.read_text().splitlines() if not _NO_NEWS.search(line)]
    text = _PLACES.sub("/opt/sglang/", "\n".join(lines[-_LONGEST:]))
    (FOLDER / f"{file.stem}.log").write_text(text + "\n")


def keep(name: str, answer: bytes) -> None:
    if name == "metrics":
        (FOLDER / f"{name}.http.gz").write_bytes(gzip.compress(answer, mtime=0))
    else:
        (FOLDER / f"{name}.http").write_bytes(answer)


def record_loading(port: int) -> None:
    answer = b""
    while b"200 OK" not in answer:
        with suppress(OSError):  # it does not listen yet
            answer = ask(port, "", "GET", "/health", None)
            if b" 503 " in answer:
                keep("health-loading", answer)


def main(port: int, key: str, model: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, (method, path, body) in requests(model).items():
        keep(name, ask(port, key, method, path, body))
    keep("error-wrong-key", ask(port, "wrong", "GET", "/v1/models", None))


if __name__ == "__main__":
    if sys.argv[1].isdigit():
        main(int(sys.argv[1]), *sys.argv[2:4])
    elif sys.argv[1] == "loading":
        record_loading(int(sys.argv[2]))
    else:
        for name in sys.argv[1:]:
            keep_log(Path(name))
