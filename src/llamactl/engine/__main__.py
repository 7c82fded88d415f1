"""`python -m llamactl.engine` serves one model behind llama-server's flags."""

from __future__ import annotations

import os
import signal
import sys
import time

import xllamacpp as xl

from llamactl.engine.flags import FlagError, apply, of_variables, usage

LAST_WORDS_S = 0.2  # llama.cpp's log is written by a thread that nothing can wait for


def devices() -> str:
    lines = ["Available devices:"]
    for device in xl.get_device_info():
        free, total = device["memory_free"] >> 20, device["memory_total"] >> 20
        lines.append(f"  {device['name']}: {device['description']} ({total} MiB, {free} MiB free)")
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    if "-h" in argv or "--help" in argv:
        print(usage())
        return 0
    if "--version" in argv:
        print(f"version: built-in llama.cpp (xllamacpp {xl.__version__})")
        print(f"built for {xl.BUILD_INFO['build_target']} with {xl.BUILD_INFO['compiler']}")
        return 0
    if "--list-devices" in argv:
        print(devices())
        return 0
    params = xl.CommonParams()
    try:
        apply(params, [*of_variables(os.environ), *argv])
    except FlagError as exc:
        print(f"error: {exc}", file=sys.stderr)
        print("see `python -m llamactl.engine --help`", file=sys.stderr)
        return 2
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
