"""Load on a server: as much as it takes, or a steady rate."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.process import cpu_s, memory_mb

BODY = (
    '{"model":"%s","messages":[{"role":"user","content":"Tell me about the weather in Paris."}],'
    '"max_tokens":100,"temperature":0.7,"stream":false}'
)
_PATH = "/v1/chat/completions"
_SAID = """
function done(summary, latency)
  local e = summary.errors
  io.write(string.format("said %d %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
    e.status + e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Server:
    port: int
    pid: int
    key: str
    others: tuple[int, ...] = ()  # pids of processes that relay beside it

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all its processes until now."""
        return sum(cpu_s(pid) for pid in (self.pid, *self.others))

    @property
    def memory_mb(self) -> float:
        return memory_mb([self.pid, *self.others])


@dataclass(frozen=True, slots=True)
class Latency:
    """As the client saw it, in milliseconds."""

    p50: float
    p99: float
    p999: float


@dataclass(frozen=True, slots=True)
class Cost:
    cpu_us: float  # of the server's processes, for each request
    per_second: float
    latency: Latency


def load(
    server: Server, folder: Path, seconds: int, model: str = "fixed", path: str = _PATH
) -> Cost:
    """Small chat requests over 32 connections, as fast as they are answered, by wrk.

    Raises RuntimeError if one of them fails.
    """
    script = folder / "post.lua"
    script.write_text(
        f"wrk.method='POST'\nwrk.headers['Content-Type']='application/json'\n"
        f"wrk.headers['Authorization']='Bearer {server.key}'\nwrk.body='{BODY % model}'\n{_SAID}"
    )
    url = f"http://127.0.0.1:{server.port}{path}"
    command = ["wrk", "-t1", "-c32", "--timeout", "30s", "-s", str(script), url]
    subprocess.run([*command, "-d1s"], check=True, capture_output=True)
    before = server.cpu_s
    said = subprocess.run(
        [*command, f"-d{seconds}s"], check=True, capture_output=True, text=True
    ).stdout
    spent = server.cpu_s - before
    found = re.search(r"said (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)", said)
    if found is None or int(found[6]) or not int(found[1]):
        raise RuntimeError(f"requests failed: {said}")
    requests, took_us, *percentiles = map(int, found.groups()[:5])
    latency = Latency(*(us / 1000 for us in percentiles))
    return Cost(spent * 1e6 / requests, requests * 1e6 / took_us, latency)


def steady(port: int, key: str, rate: int, seconds: int, core: int) -> Latency:
    """The same requests at an even rate, from one core. Raises CalledProcessError if one fails."""
    words = [str(port), key or "none", str(rate), str(seconds)]
    said = subprocess.run(
        ["taskset", "-c", str(core), sys.executable, "-m", "benchmarks.proxy.steady", *words],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    times = sorted(json.loads(said))
    return Latency(*(times[int(len(times) * q)] for q in (0.5, 0.99, 0.999)))
