"""How fast engines read prompts and generate, beside the built-in one.

    python -m benchmarks.engines [LLAMA_SERVER ...]

They take turns, with one thread each; speed is tokens for each second of CPU time, which other
programs on the machine disturb least.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / part) for part in ("tests", "examples")]

from server import model_path

from benchmarks.ports import free_port

PROMPT, GENERATED, TIMES = 2000, 128, 5
_WORDS = ("the", "river", "stone", "walks", "under", "a", "bright", "moon", "and", "sings")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_READY_S = 60.0
_BUILT_IN = (sys.executable, "-m", "llamactl.engine")

Speeds = dict[str, list[float]]  # tokens for a second of CPU time, of prompts and generated


class Engine:
    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self._port = port
        self.speeds: Speeds = {"prompt": [], "generation": []}

    def measure(self, seed: int) -> None:
        for what, words, tokens in (("prompt", PROMPT, 1), ("generation", 1, GENERATED)):
            before = self._cpu()
            read, generated = self._complete(seed, words, tokens)
            counted = read if what == "prompt" else generated
            self.speeds[what].append(counted / (self._cpu() - before))

    def _complete(self, seed: int, words: int, tokens: int) -> tuple[int, int]:
        """How many tokens it read and generated."""
        chosen = random.Random(seed).choices(_WORDS, k=words)
        asked = {"prompt": " ".join(chosen), "n_predict": tokens, "cache_prompt": False,
                 "ignore_eos": True, "temperature": 0}  # fmt: skip
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=600)
        connection.request("POST", "/completion", json.dumps(asked))
        said = json.load(connection.getresponse())["timings"]
        return said["prompt_n"], said["predicted_n"]

    def _cpu(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * _TICK_S


@contextmanager
def running(command: Sequence[str], model: Path) -> Iterator[Engine]:
    port = free_port()
    words = ["--model", str(model), "--port", str(port), "-t", "1", "-c", "4096", "--no-warmup"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([*command, *words], stdout=log, stderr=log)
        try:
            _wait_until_ready(process, port)
            yield Engine(process, port)
        finally:
            process.terminate()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + _READY_S
    while time.monotonic() < end:
        if process.poll() is not None:
            sys.exit(f"{process.args!r} ended with code {process.returncode}")
        connection = http.client.HTTPConnection("127.0.0.1", port)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{process.args!r} was not ready within {_READY_S:.0f} s")


def compare(others: Sequence[str], model: Path) -> None:
    """`others`: programs of llama-servers."""
    with ExitStack() as stack:
        built_in = stack.enter_context(running(_BUILT_IN, model))
        peers = {other: stack.enter_context(running([other], model)) for other in others}
        for seed in range(TIMES):
            for engine in (built_in, *peers.values()):
                engine.measure(seed)
    for what, of_ours in built_in.speeds.items():
        print(f"{what}, built-in engine: {statistics.median(of_ours):.0f} tokens a CPU second")
        for name, peer in peers.items():
            ratios = [b / a for a, b in zip(of_ours, peer.speeds[what], strict=True)]
            span = f"{min(ratios):.2f} to {max(ratios):.2f}"
            print(f"{what}, {name}: {statistics.median(ratios):.2f} times ({span})", flush=True)


if __name__ == "__main__":
    compare(sys.argv[1:], model_path())
