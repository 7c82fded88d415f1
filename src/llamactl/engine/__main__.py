"""`python -m llamactl.engine` serves one model behind llama-server's flags."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping

import xllamacpp as xl

from llamactl.engine.flags import FlagError, apply, of_variables
from llamactl.engine.help import usage

LAST_WORDS_S = 0.2  # llama.cpp's log is written by a thread that nothing can wait for


def devices() -> str:
    lines = ["Available devices:"]
    for device in xl.get_device_info():
        free, total = device["memory_free"] >> 20, device["memory_total"] >> 20
        lines.append(f"  {device['name']}: {device['description']} ({total} MiB, {free} MiB free)")
    return "\n".join(lines)


def version() -> str:
    return (
        f"version: built-in llama.cpp (xllamacpp {xl.__version__})\n"
        f"built for {xl.BUILD_INFO['build_target']} with {xl.BUILD_INFO['compiler']}"
    )


ANSWERS: Mapping[str, Callable[[], str]] = {
    **dict.fromkeys(("-h", "--help", "--usage"), usage),
    "--version": version, "--list-devices": devices,
}  # fmt: skip


def main(argv: list[str]) -> int:
    questions = [at for at, word in enumerate(argv) if word in ANSWERS]
    params = xl.CommonParams()
    try:  # what comes before a question counts, as with llama-server
        apply(params, [*of_variables(os.environ), *argv[: questions[0] if questions else None]])
    except FlagError as exc:
        print(f"error: {exc}", file=sys.stderr)
        print("see `python -m llamactl.engine --help`", file=sys.stderr)
        return 2
    if questions:
        print(ANSWERS[argv[questions[0]]]())
        return 0
    if key := os.environ.get("LLAMA_API_KEY"):
        params.api_keys = [*params.api_keys, *key.split(",")]
    try:
        server = xl.Server(params)
    except RuntimeError as exc:
        print(f"error: {exc}", file=sys.stderr)
        time.sleep(LAST_WORDS_S)
        return 1
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    print(f"engine listens on {server.listening_address}", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
